// Times and names of the follower, as functions of values.
#include "gitsync/follow/schedule.hpp"

#include <algorithm>

namespace moored::git {
namespace {

constexpr std::string_view kMark = "sha1:";
constexpr std::size_t kShaDigits = 40;

// Adds up to share percent of the delay.
Duration with_jitter(Duration delay, std::uint64_t share, Random& random) {
  const auto bound = static_cast<std::uint64_t>(delay.count()) * share / 100;
  return bound == 0 ? delay : delay + Duration(static_cast<std::int64_t>(random.below(bound)));
}

}  // namespace

// The schema has refused what is no duration; an empty text means the default.
Duration interval_of(const GitRepositorySpec& spec) {
  const auto written = parse_duration(spec.interval);
  return std::max(written.value_or(kDefaultInterval), kShortestInterval);
}

Duration delay_after(Duration interval, unsigned failures, const Error* error,
                     std::optional<std::chrono::seconds> wait, Random& random) {
  if (error == nullptr || failures == 0) return with_jitter(interval * 9 / 10, 22, random);
  if (error->code == Code::not_found) return with_jitter(interval * 9 / 10, 22, random);
  // Doubling by a loop: a shift by a large count would overflow.
  Duration delay = interval;
  for (unsigned n = 1; n < failures && delay < kLongestBackoff; ++n) delay *= 2;
  // Cut before it becomes a duration of ours: a server can name any number.
  if (wait) {
    const Duration asked = std::min<std::chrono::seconds>(
        *wait, std::chrono::duration_cast<std::chrono::seconds>(kLongestBackoff));
    delay = std::max({delay, kOverloadedBackoff, asked});
  }
  return with_jitter(std::min(delay, std::max(interval, kLongestBackoff)), 25, random);
}

// The order of Flux: commit, name, tag, branch.
std::string reference_of(const GitRepositorySpec& spec) {
  if (!spec.ref) return "HEAD";
  if (!spec.ref->commit.empty()) return spec.ref->commit;
  if (!spec.ref->name.empty()) return spec.ref->name;
  if (!spec.ref->tag.empty()) return "refs/tags/" + spec.ref->tag;
  if (!spec.ref->branch.empty()) return "refs/heads/" + spec.ref->branch;
  return "HEAD";
}

std::string revision_of(const GitRepositorySpec& spec, const std::string& sha) {
  std::string name = "HEAD";
  if (spec.ref) {
    if (!spec.ref->commit.empty()) {
      name = spec.ref->branch;
    } else if (!spec.ref->name.empty()) {
      name = spec.ref->name;
    } else if (!spec.ref->tag.empty()) {
      name = spec.ref->tag;
    } else if (!spec.ref->branch.empty()) {
      name = spec.ref->branch;
    }
  }
  return name.empty() ? std::string(kMark) + sha : name + '@' + std::string(kMark) + sha;
}

// The last mark counts: a branch may be called sha1:x itself.
std::string sha_of(const std::string& revision) {
  const std::size_t at = revision.rfind(kMark);
  const std::string sha = at == std::string::npos ? "" : revision.substr(at + kMark.size());
  return sha.size() == kShaDigits ? sha : std::string();
}

}  // namespace moored::git
