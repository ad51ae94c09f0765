// What the node and its containers use. Read by net/api.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "schema/base/result.hpp"

namespace moored {

// One reading.
struct Usage {
  std::chrono::nanoseconds cpu{0};  // spent since some fixed moment
  std::int64_t memory_bytes = 0;    // without page cache that can be dropped at once
};

// Reads when it is asked; keeps nothing. Thread safe.
class UsageReader {
 public:
  virtual ~UsageReader() = default;
  // The latest attempt of a container of a pod. Errors: not_found, unavailable.
  virtual Result<Usage> read_usage(const std::string& pod_uid, const std::string& container) = 0;
  // The whole machine. Errors: unavailable, corrupt.
  virtual Result<Usage> read_node_usage() = 0;
};

}  // namespace moored
