// Writes that are only tried: for `kubectl diff --server-side`.
#pragma once

#include "net/api/context.hpp"
#include "net/api/read.hpp"
#include "net/api/url.hpp"

namespace moored::net::api {

// True for a request that asks what a write would do (dryRun=All) and nothing more.
bool is_dry_run(const Request& request, const Query& query);
// Answers it with the object as it would be recorded if the manifest in the body stood in Git.
// Nothing is stored. Only whole manifests can be tried: POST, and PATCH of server-side apply.
Response answer_dry_run(const Target& target, const Request& request, const ApiContext& context);

}  // namespace moored::net::api
