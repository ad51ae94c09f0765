#include "reconciler/core/identity.hpp"

#include <array>
#include <utility>

#include "reconciler/core/controller.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/base/random.hpp"
#include "schema/model/pod_resources.hpp"

namespace moored {
namespace {

// Kubernetes' safe letters: no vowels, so no words; nothing that looks like something else.
constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";

// One number for the place in history at which a name is made.
std::uint64_t seed_of(const PlanContext& context, const ObjectKey& key, std::string_view salt) {
  const std::string version = std::to_string(context.view.resource_version());
  std::uint64_t hash = hash_text(context.store_id);
  for (const std::string_view part : {std::string_view(version), std::string_view("|"), salt}) {
    hash = hash_text(part, hash);
  }
  hash = hash_text(key.text(), hash_text("|", hash));
  return hash;
}

}  // namespace

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  constexpr std::uint64_t kPrime = 0x100000001b3ULL;
  std::uint64_t hash = seed;
  for (const char letter : text) {
    hash ^= static_cast<unsigned char>(letter);
    hash *= kPrime;
  }
  return hash;
}

std::string encode_hash(std::uint64_t hash, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) {
    text += kAlphabet[hash % kAlphabet.size()];
    hash /= kAlphabet.size();
  }
  return text;
}

std::string derive_suffix(const PlanContext& context, const ObjectKey& key, std::string_view salt,
                          std::size_t length) {
  SeededRandom random(seed_of(context, key, salt));
  return encode_hash(random.next(), length);
}

std::string derive_uid(const PlanContext& context, const ObjectKey& key, std::string_view salt) {
  SeededRandom random(seed_of(context, key, salt) ^ 0x5bd1e995U);
  return make_uuid(random);
}

Time stamp(const Now& now) { return std::chrono::floor<std::chrono::seconds>(now.wall); }

Object make_recorded(const Object& declared, const PlanContext& context) {
  const std::string uid = derive_uid(context, declared.key(), "create");
  // A pod is visible before the agent has seen it, with the first status that Kubernetes gives.
  if (declared.is<Pod>()) {
    auto pod = declared.as<Pod>();
    pod.status.phase = "Pending";
    pod.status.qos_class = qos_class(pod.spec);
    pod.metadata.uid = uid;
    pod.metadata.creation_timestamp = stamp(context.now);
    return make_object(std::move(pod), declared.provenance());
  }
  return with_meta(declared, [&](ObjectMeta& meta) {
    meta.uid = uid;
    meta.creation_timestamp = stamp(context.now);
  });
}

}  // namespace moored
