// The images of this machine as containers see them: here already, or fetched from a registry.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/image/content_store.hpp"
#include "runtime/image/registry_settings.hpp"
#include "runtime/image/registry_worker.hpp"
#include "schema/base/time.hpp"

namespace moored::image {

inline constexpr std::size_t kMaxPulls = 1000;    // under way and waiting
inline constexpr std::size_t kMaxAnswers = 5000;  // not yet asked for; the oldest go first

// Pulls run in threads of its own. The same image with the same credentials is asked for once,
// however many containers want it. Thread safe.
class PullingStore final : public ImageStore {
 public:
  // Borrows store and clock, which outlive it.
  PullingStore(PullingStoreOptions options, ContentStore& store,
               std::unique_ptr<RegistryConnector> connector, const Clock& clock);
  ~PullingStore() override;
  PullingStore(const PullingStore&) = delete;
  PullingStore& operator=(const PullingStore&) = delete;

  // Breaks off what is under way and calls no listener any more. Calls after it find what is here.
  void stop();

  // Called on a thread of the store whenever a pull has ended, well or not, with the reference as
  // it was asked for. Must be set before the first obtain.
  void on_settled(std::function<void(const std::string& reference)> listener);

  Result<ImageReport> find(const std::string& reference) override;
  Result<std::vector<ImageReport>> list() override;
  // Errors beside those of the port: those of fetch_image and ContentStore::adopt, as one sentence
  // with their reason in it; exhausted (kMaxPulls).
  Result<ObtainedImage> obtain(const ImageRequest& request) override;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace moored::image
