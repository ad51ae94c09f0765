// Images as the agent needs them: a name becomes layers and a process description.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored {

// An image that is present and unpacked.
struct ImageReport {
  std::string name;              // as resolved: host/path:tag
  std::string digest;            // sha256:<hex> of the manifest
  std::vector<std::string> layers;  // unpacked directories, topmost first
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string working_directory;
  std::string user;
  std::string stop_signal;
  std::vector<std::string> volumes;
  std::int64_t size_bytes = 0;
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  // Errors: invalid (reason InvalidImageName), not_found.
  virtual Result<ImageReport> find(const std::string& reference) = 0;
  virtual Result<std::vector<ImageReport>> list() = 0;
};

}  // namespace moored
