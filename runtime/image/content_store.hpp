// All images of this machine: names, blobs and unpacked layers below one directory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/image/blob_store.hpp"
#include "runtime/image/image_fetch.hpp"
#include "runtime/image/layer_stream.hpp"
#include "runtime/image/unpack_worker.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/image_store.hpp"

namespace moored::image {

struct ContentStoreOptions {
  std::string directory;  // <state-dir>/images
  LayerLimits limits;     // bytes: of a whole image
};

// A step of an import, for the waiting person.
struct ImportStep {
  std::string text;  // such as "unpacked layer 2 of 5"
};

// What to take in, and from where.
struct ImportRequest {
  std::string path;  // absolute: OCI layout directory, archive of one, docker-save archive,
                     // root directory, or a tar of one
  std::string name;  // reference to give it; empty: the names that the archive says
  std::function<void(const ImportStep&)> progress;  // may be empty; called on the same thread
};

// find and list only read and may be called from any thread; what changes something is carried
// out one after another.
class ContentStore final : public ImageStore {
 public:
  // Throws away what an earlier process left half done.
  static Result<std::unique_ptr<ContentStore>> open(ContentStoreOptions options,
                                                    std::unique_ptr<Unpacker> unpacker);
  ~ContentStore() override;

  // By name, or by digest when the reference has one.
  Result<ImageReport> find(const std::string& reference) override;
  Result<std::vector<ImageReport>> list() override;

  // Verifies, unpacks and names one image (with a name) or all of an archive (without).
  // An image of the same name is replaced; its layers stay until garbage is collected, because
  // containers may run from them. After a refusal nothing of the new image stays.
  // Errors: invalid (InvalidImageName, ManifestInvalid, ConfigInvalid, LayerEscape), corrupt
  // (DigestMismatch), exhausted (LayerLimit), not_found (path, PlatformMismatch), conflict (which
  // image of the archive is meant).
  Result<std::vector<ImageReport>> import(const ImportRequest& request);
  // ---- for what comes from registries ----

  // Keeps blobs from being swept as long as it lives; the store outlives it.
  class Lease final : public BlobKeeper {
   public:
    explicit Lease(ContentStore& store) : store_(store) {}
    ~Lease() override;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    void keep(const std::string& digest) override;

   private:
    ContentStore& store_;
    std::vector<std::string> digests_;
  };
  std::unique_ptr<Lease> lease() { return std::make_unique<Lease>(*this); }
  const BlobStore& blobs() const;
  // Unpacks and names an image whose blobs are all in the store. name: in full, with a tag or a
  // digest. The image that had the tag before is kept under its digest: containers may run from it.
  // Errors: those of import.
  Result<ImageReport> adopt(const std::string& name, const std::string& manifest_digest);
  // Removes blobs that neither a name nor a lease leads to.
  Status sweep();
  // Remembers that a container is about to run from the image.
  void touch(const ImageReport& image);

  // What may not be given up, and how much room is wanted.
  struct RoomRequest {
    // Names as pods write them, and digests of images that containers run from.
    std::vector<std::string> in_use;
    std::int64_t bytes = 0;           // to be freed
    Time unused_since;                // images that were used after this stay
  };
  struct Room {
    std::vector<std::string> given_up;  // names
    std::int64_t bytes = 0;             // freed
  };
  // Removes what no name leads to; then, until there is room enough, images that registries have,
  // those first that have not been used for the longest time. Imported ones stay.
  Result<Room> make_room(const RoomRequest& request);

  // Takes a name away (or, by digest, every name of that image) and what only it needed; gives the
  // names back. That nothing runs from it is for the caller to see to. Errors: not_found.
  Result<std::vector<std::string>> remove(const std::string& reference,
                                          const std::vector<std::string>& layers_in_use);
  // Removes blobs and layers that no name leads to, such as those of replaced images; how many
  // bytes of layers were freed. layers_in_use: directories (as in ImageReport) that containers
  // were started from.
  Result<std::int64_t> collect_garbage(const std::vector<std::string>& layers_in_use);

 private:
  class State;
  explicit ContentStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::image
