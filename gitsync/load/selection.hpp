// Which objects of a commit are for this machine, and which the source may declare. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/object.hpp"

namespace moored::git {

// On any object in Git: the machines that it is for, as names with * and ?, separated by commas;
// one with ! takes machines out again. Without it an object is for all.
inline constexpr std::string_view kHostsAnnotation = "sync.moored.dev/hosts";

// What a source may declare, in the operator's words. An empty list is no limit.
struct SourceRights {
  std::vector<std::string> namespaces;
  std::vector<std::string> kinds;  // Deployment, or with its group: Deployment.apps
  bool operator==(const SourceRights&) const = default;
};

// Whether an object is for a machine. An empty machine: yes, as far as the annotation can be read.
// Errors: invalid (InvalidValue) with the place of the object.
Result<bool> is_for_host(const Object& object, const std::string& host);

// Adds an error (Forbidden) for each object that the source may not declare. Within namespaces, an
// object without a namespace is allowed when kinds name it, and a Namespace that is one of them
// always. Sources and units are allowed to a limited source only when kinds name them, since
// another source could have other rights.
void check_rights(const std::vector<Object>& objects, const SourceRights& rights,
                  Diagnostics& diagnostics);

}  // namespace moored::git
