// Where the credentials of a source come from.
#pragma once

#include <string>

#include "gitsync/repo/access.hpp"
#include "schema/ports/source_reader.hpp"

namespace moored::git {

// The values of a Secret that a source refers to: the files of directory/NAMESPACE/NAME, each
// named like a key, if that is there; else what the store has. Read anew with every look, so that
// a renewed file counts at once.
// Errors: not_found (SecretNotFound), denied (SecretExposed: others than the owner, who is root or
// we, may read the files or change the directory), exhausted (256 KiB a file). No value is in any
// message.
Result<SecretValues> read_secret(const SourceSecret& secret, const std::string& namespace_name,
                                 const std::string& directory);

// Everything that a source has written about who we are and by which way we go.
// Errors: as read_secret(), read_credentials() and read_proxy().
Result<ServerAccess> read_access(const SourceSpec& source, const std::string& directory);

}  // namespace moored::git
