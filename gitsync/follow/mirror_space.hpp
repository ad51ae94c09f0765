// How much disk the mirrors of all sources may take.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "schema/base/error.hpp"
#include "schema/base/guarded.hpp"

namespace moored::git {

// Measured by the daemon, as a worker sees nothing but its own mirror. Thread safe.
class MirrorSpace {
 public:
  struct Limits {
    std::size_t one = 512U << 20U;                // bytes of one source
    std::size_t all = std::size_t{4} << 30U;      // bytes of all sources together
  };
  // root holds a directory for each mirror.
  MirrorSpace(std::string root, Limits limits) : root_(std::move(root)), limits_(limits) {}

  // How many bytes the mirror of this name may have in all. What other fetches under way bring is
  // counted when they are over: the sum can be passed by one fetch of each worker.
  std::size_t room_for(const std::string& name);
  // To be called when a fetch may have changed the mirror.
  void measure(const std::string& name);
  // Says in an error for want of space whose limit it is, and what to do about it.
  Error explain(Error error, std::size_t room) const;

 private:
  const std::string root_;
  const Limits limits_;
  Guarded<std::map<std::string, std::size_t>> sizes_;
};

}  // namespace moored::git
