// Objects as the API shows them: encoded once, with secret values withheld.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/api/resources.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/time.hpp"
#include "schema/codec/value.hpp"

namespace moored::net::api {

// On every Secret that the API shows: values never leave the machine this way.
inline constexpr std::string_view kWithheldAnnotation = "moored.dev/values";
inline constexpr std::string_view kWithheldText = "withheld: the API shows keys only";

// An object in the bytes of one resource, with what selectors ask of it.
struct Encoded {
  std::string whole;                    // the object
  std::string metadata;                 // its metadata alone
  std::vector<std::string> selectable;  // in the order of Kind::selectable
};

// The object as it may be seen: a Secret without values, an address without credentials.
Object withhold(const Object& object);
// A repository's address without credentials: https://***@host/path.
std::string hide_credentials(const std::string& url);
// The object as a value tree in the shape of the resource. Secret values are empty.
Value present(const Resource& resource, const Object& object);
// The object encoded without looking at any cache. With a moment, conditions of a Node say that the
// node was alive then.
Encoded encode_for(const Resource& resource, const Object& object,
                   std::optional<Time> moment = std::nullopt);
// True for kinds whose objects say when they are read: nodes and their leases.
bool tells_time(const Kind& kind);
// The text of a dotted path, or empty when there is none.
std::string text_at(const Value& document, std::string_view path);

// Keeps encoded objects by uid and resource version, so that a list joins bytes. Thread safe.
// Bounded: when the newer half is full the older half goes.
class EncodingCache {
 public:
  static constexpr std::size_t kDefaultBytes = 64U << 20U;

  explicit EncodingCache(std::size_t limit_bytes = kDefaultBytes) : half_bytes_(limit_bytes / 2) {}
  // One that keeps nothing: for an answer whose objects tell the moment.
  explicit EncodingCache(Time moment) : half_bytes_(0), moment_(moment) {}

  // The object in the bytes of the resource.
  std::shared_ptr<const Encoded> get(const Resource& resource, const Object& object);

  // Forgets everything.
  void drop();

  std::int64_t hits() const { return hits_; }
  std::int64_t misses() const { return misses_; }
  // Bytes held now.
  std::size_t size_bytes() const;

 private:
  using Entries = std::unordered_map<std::string, std::shared_ptr<const Encoded>>;
  struct Halves {
    Entries young;
    Entries old;
    std::size_t young_bytes = 0;
    std::size_t old_bytes = 0;
  };
  void keep(Halves& halves, const std::string& key, std::shared_ptr<const Encoded> encoded) const;

  std::size_t half_bytes_;
  std::optional<Time> moment_;
  std::atomic<std::int64_t> hits_{0};
  std::atomic<std::int64_t> misses_{0};
  Guarded<Halves> halves_;
};

}  // namespace moored::net::api
