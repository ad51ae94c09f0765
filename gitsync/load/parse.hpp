// From the text of one file to objects. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/model/object.hpp"

namespace moored::git {

// What one file holds. Provenance and places carry lines but no file: the same bytes may lie
// under several paths.
struct ParsedFile {
  std::vector<Object> objects;
  Diagnostics diagnostics;
  std::size_t documents = 0;
};

// Lists may hold lists, this deep.
inline constexpr std::size_t kMaxListDepth = 8;

// Reads every document (.json: the one document), expands lists, decodes and puts each object
// into its namespace. path decides between YAML and JSON and is otherwise not used.
// A pointer of Git LFS is the one error LfsPointer.
ParsedFile parse_manifests(std::string_view text, std::string_view path,
                           const std::string& target_namespace);

// The object with its namespace set: the target if there is one, else its own, else default.
// Objects of kinds without namespaces stay as they are.
Object in_namespace(const Object& object, const std::string& target_namespace);

}  // namespace moored::git
