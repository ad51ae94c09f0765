// Brings the blobs of one image from a registry into the store.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "runtime/image/blob_store.hpp"
#include "runtime/image/documents.hpp"
#include "runtime/image/names.hpp"
#include "runtime/image/registry_worker.hpp"

namespace moored::image {

// Keeps two pulls from fetching one blob: the second waits and finds it in the store.
class BlobGate {
 public:
  // Holds the gate of one blob; blocks while somebody else does.
  class Pass {
   public:
    Pass(BlobGate& gate, const std::string& digest);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    BlobGate& gate_;
    std::string digest_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> held_;
};

// Says which blobs must stay although no name leads to them yet.
class BlobKeeper {
 public:
  virtual ~BlobKeeper() = default;
  virtual void keep(const std::string& digest) = 0;
};

struct FetchPorts {
  const BlobStore& store;
  BlobGate& gate;
  BlobKeeper& keeper;
  RegistryLink& link;
  std::int64_t image_bytes;  // of all blobs of the image, as they come
};

struct FetchedImage {
  std::string manifest_digest;
  std::int64_t bytes = 0;  // that really were fetched
};

// Resolves the name, chooses this machine's image of an index, and fetches what is missing; every
// byte is hashed on its way to the disk. A broken connection is taken up again where it broke, as
// long as each try brings something. Blobs that arrived whole stay after an error.
// Errors: those of RegistryLink; invalid (ManifestInvalid, ConfigInvalid), corrupt
// (DigestMismatch), exhausted (LayerLimit, the disk), not_found (PlatformMismatch).
Result<FetchedImage> fetch_image(const ImageName& name, const FetchPorts& ports);

}  // namespace moored::image
