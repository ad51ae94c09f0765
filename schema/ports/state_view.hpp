// The read-only window on recorded state. Nothing reachable from here can write.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/object.hpp"

namespace moored {

// One numbered change of one object, in the order of the store's single counter.
struct Change {
  enum class Type { added, modified, deleted } type = Type::added;
  std::int64_t resource_version = 0;
  Object object;                    // deleted: the last state, with the deletion's version
  std::optional<Object> previous;   // what it was before; absent when added
};

// A consistent reading of the store at one resource version. Cheap to make, thread safe to read.
class StateView {
 public:
  virtual ~StateView() = default;
  virtual std::int64_t resource_version() const = 0;
  virtual std::optional<Object> find(const ObjectKey& key) const = 0;
  // All objects of a kind in key order; namespace_name empty: all namespaces.
  virtual std::vector<Object> list(const Kind& kind,
                                   const std::string& namespace_name = {}) const = 0;
  // Objects whose controller (or any) owner has this uid, in key order.
  virtual std::vector<Object> list_owned(const Kind& kind, const std::string& owner_uid) const = 0;
};

// Where views and the change log come from. Thread safe.
class StateSource {
 public:
  virtual ~StateSource() = default;
  virtual std::shared_ptr<const StateView> view() const = 0;
  // Changes of a kind (nullptr: all) after a resource version, oldest first, at most limit.
  // Errors: exhausted (reason Expired: older than the kept history).
  virtual Result<std::vector<Change>> changes_since(const Kind* kind, std::int64_t after,
                                                    std::size_t limit) const = 0;
  // The state as it was at a resource version. Errors: exhausted (reason Expired).
  virtual Result<std::shared_ptr<const StateView>> view_at(std::int64_t resource_version) const = 0;
};

// Wakes its listeners after each commit. A listener only sets a flag or writes an eventfd:
// it runs on the writer's thread and must not block or call back.
class RevisionSignal {
 public:
  virtual ~RevisionSignal() = default;
  using Listener = void (*)(void* context, std::int64_t resource_version);
  // Returns a token for unsubscribe.
  virtual int subscribe(Listener listener, void* context) = 0;
  virtual void unsubscribe(int token) = 0;
};

}  // namespace moored
