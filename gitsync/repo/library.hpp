// libgit2's process-wide settings and its errors in our words. No libgit2 type appears here.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/error.hpp"
#include "schema/base/result.hpp"

namespace moored::git {

// Sets libgit2 up once for the process: no configuration files, bounded caches, durable writes.
// Thread safe; later calls are free. Errors: internal.
Status start_library();

// The version of the libgit2 that is linked, such as 1.5.1.
std::string library_version();

// The error of the libgit2 call that just failed on this thread, with its reason word:
// ObjectMissing, ObjectCorrupt, PackCorrupt, AuthFailed, FetchHTTP, RedirectRefused, TlsRefused,
// DiskFull, FetchFailed. code is what the call returned.
Error library_error(std::string_view what, int code);

}  // namespace moored::git
