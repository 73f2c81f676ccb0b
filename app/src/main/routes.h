// What `weft serve` answers.
#pragma once

#include "weft/app/app.h"
#include "weft/http/mux.h"

namespace weft::program {

// `app` says whether it is ready, and outlives the requests.
http::ServeMux make_routes(const app::App& app);

}  // namespace weft::program
