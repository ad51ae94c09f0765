// Images as the agent needs them: a name becomes layers and a process description.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

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

// What a container that is to start asks for.
struct ImageRequest {
  std::string reference;
  std::string policy;  // Always, IfNotPresent or Never
  // One for each container: what was fetched for it is handed to it once.
  std::string requester;
  // Contents of Secrets of the type kubernetes.io/dockerconfigjson, to be tried in this order.
  std::vector<std::string> credentials;
};

// An image, and what it took to get it.
struct ObtainedImage {
  ImageReport image;
  bool fetched = false;  // a registry was asked
  Duration took{};       // from the first byte sent
  Duration waited{};     // from the request
};

// The reason of an answer that is still to come.
inline constexpr const char* kPullingReason = "Pulling";

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  // Errors: invalid (reason InvalidImageName), not_found.
  virtual Result<ImageReport> find(const std::string& reference) = 0;
  virtual Result<std::vector<ImageReport>> list() = 0;
  // The image of a container that is to start, under its pull policy. Never blocks for long: while
  // a registry is asked the error is unavailable with kPullingReason; ask again when told so.
  // Errors beside those of find: what kept a registry's image from coming, once for each try.
  // A store without registries has what it has.
  virtual Result<ObtainedImage> obtain(const ImageRequest& request) {
    MOORED_TRY(auto image, find(request.reference));
    return ObtainedImage{std::move(image), false, {}, {}};
  }
};

}  // namespace moored
