// Everything public of HTTP, but the debug pages (<weft/http/debug.h>) and the library for tests
// (<weft/http/testing.h>).
#pragma once

#include <weft/http/errc.h>
#include <weft/http/header.h>
#include <weft/http/helpers.h>
#include <weft/http/hijacked.h>
#include <weft/http/middleware.h>
#include <weft/http/mux.h>
#include <weft/http/request.h>
#include <weft/http/response_writer.h>
#include <weft/http/server.h>
#include <weft/http/sniff.h>
#include <weft/http/status.h>
#include <weft/http/version.h>
