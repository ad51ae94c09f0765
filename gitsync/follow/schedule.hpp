// When to look at a source again, and what a GitRepository asks for. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/error.hpp"
#include "schema/base/random.hpp"
#include "schema/base/time.hpp"
#include "schema/model/flux.hpp"

namespace moored::git {

// Limits of the schedule.
inline constexpr Duration kDefaultInterval = std::chrono::seconds(10);
inline constexpr Duration kShortestInterval = std::chrono::seconds(1);
inline constexpr Duration kLongestBackoff = std::chrono::minutes(10);
inline constexpr Duration kOverloadedBackoff = std::chrono::seconds(30);

// On a GitRepository: fast-forward refuses a reference whose history was rewritten, follow (the
// default) takes it and says so.
inline constexpr std::string_view kHistoryAnnotation = "sync.moored.dev/history";

// The interval of a repository, its default when none is written, never below the shortest.
Duration interval_of(const GitRepositorySpec& spec);

// The time until the next look. Looks that went well come after the interval, give or take a
// tenth. After n failures in a row the wait doubles each time up to kLongestBackoff, with up to a
// quarter on top; a server that says it is overloaded is left alone for 30 s at least. A missing
// reference is looked for at the interval: the push that makes it may come at any time. wait is
// what an overloaded server asked for.
Duration delay_after(Duration interval, unsigned failures, const Error* error,
                     std::optional<std::chrono::seconds> wait, Random& random);

// The reference to follow: a commit, else a full name, else a tag, else a branch, else HEAD.
std::string reference_of(const GitRepositorySpec& spec);
// How a revision is written: main@sha1:<40 hex>, or sha1:<40 hex> when only a commit is named.
std::string revision_of(const GitRepositorySpec& spec, const std::string& sha);
// The 40 hexadecimal digits of a revision; empty when it has none.
std::string sha_of(const std::string& revision);

}  // namespace moored::git
