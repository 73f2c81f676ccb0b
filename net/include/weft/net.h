// Everything of weft::net in one include, without the bridge to Asio's types (weft/net/asio.h).
#pragma once

#include <weft/net/address.h>   // IWYU pragma: export
#include <weft/net/conn.h>      // IWYU pragma: export
#include <weft/net/dial.h>      // IWYU pragma: export
#include <weft/net/listener.h>  // IWYU pragma: export
