// What `weft serve` answers.
#pragma once

#include "weft/app/app.h"
#include "weft/http/mux.h"

namespace weft::program {

// Returns the routes of `weft serve`. /readyz asks `app` whether it is ready; `app` must outlive the requests.
http::ServeMux make_routes(const app::App& app);

}  // namespace weft::program
