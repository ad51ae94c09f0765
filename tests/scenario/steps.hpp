// The words of a scenario file, each carried out on a world.
//
// A file is a map {scenario: text, steps: [...]}; every step is a map with one word:
//   commit: {sha: N, objects: [...]}   the source names a revision and its tree is loaded
//   refuse: {sha: N, reason, message, file, line}   the tree is refused with one error
//   fetch: {reason, message}           the fetch fails
//   confirm: text                      an operator confirms held deletions
//   settle: all                        controllers run until nothing waits
//   converge: all                      the agent runs as well, until nothing changes
//   advance: 30s                       the clock moves
//   missing: [image]                   these images cannot be pulled (replaces the list)
//   pod: {nth, phase, ready, waiting}  the agent tells about the n-th active pod by name
//   gone: deleting                     the agent reports all pods being deleted as gone
//   repeat: last                       the last loaded tree arrives once more
//   expect: {object, at, is}           a field of an object; is: null means absent
//   contains: {object, at, text}       a text field contains a text
//   count: {kind, is, namespace, active}
//   absent: Kind/namespace/name
//   event: {reason, message}           an event was told since the last step that acts
//   writes: [...]                      exactly these writes (put, remove) since then, in any order;
//                                      status writes and events are left out
//   nothing: written                   no write of any type since then
#pragma once

#include <string>

#include "tests/world/world.hpp"

namespace moored::test {

// Runs one file; failures name the step by its line.
void run_scenario(const std::string& path);

}  // namespace moored::test
