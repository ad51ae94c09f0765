// What a name inside a repository may be, and how a foreign one is shown. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::git {

// Longest path below the root of a tree, in bytes, and deepest directory.
inline constexpr std::size_t kMaxPathBytes = 1024;
inline constexpr std::size_t kMaxTreeDepth = 64;

// Makes foreign text safe to show: control characters, invalid UTF-8, and characters that are
// invisible or turn the direction of writing become \xHH or \u{HHHH}. Cut with … at limit bytes.
std::string show_text(std::string_view text, std::size_t limit = kMaxPathBytes * 4);

// True for .git in every spelling that some file system takes for it: other case, trailing dots
// and spaces, characters that HFS+ ignores, streams of NTFS, and the short name git~1.
bool is_dot_git(std::string_view name);

// Judges the name of one tree entry. Nothing: it may stand in a tree.
// Errors: UnsafeTreeEntry (. .. .git), MalformedTree (empty, a slash, a NUL).
std::optional<Error> check_entry_name(std::string_view name);

// True when the file's name says that it holds manifests: *.yaml, *.yml, *.json, not hidden.
bool is_manifest_name(std::string_view name);
// True for kustomization.yaml, kustomization.yml and Kustomization.
bool is_kustomization_name(std::string_view name);

// Splits a source path such as ./deploy/prod/ into its components; the root has none.
// Errors: InvalidValue for .., an absolute path above the root, control characters, too long.
Result<std::vector<std::string>> split_source_path(std::string_view path);

// Where a link written in directory leads, as components below the root of the tree.
// Errors: SymlinkRefused for an absolute target and for one that leaves the tree.
Result<std::vector<std::string>> resolve_link(const std::vector<std::string>& directory,
                                              std::string_view target);

// Joins components with slashes.
std::string join_path(const std::vector<std::string>& components);

}  // namespace moored::git
