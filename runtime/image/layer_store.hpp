// Unpacked layers, shared by every image that is built on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/image/blob_store.hpp"
#include "runtime/image/unpack_worker.hpp"

namespace moored::image {

// The identity of a layer together with all layers below it: two layers with the same content
// above different ones are different things. Source: OCI image specification, "Layer ChainID".
std::vector<std::string> make_chain_ids(const std::vector<std::string>& diff_ids);

// layers/<chain>/diff with meta.json beside it, and l/<short name> leading to each, because the
// kernel's mount options have little room. Calls that change something must not overlap.
class LayerStore {
 public:
  // Borrows the unpacker. Throws away what was left half unpacked.
  static Result<LayerStore> open(const std::string& root, Unpacker& unpacker);

  // Unpacks what is missing of a chain; sizes in bytes of all its layers.
  // diff_ids and blobs: lowest first, equally many.
  // Errors: corrupt (DigestMismatch: the content is not what the image promised), those of unpack;
  // layers that were new are then removed again.
  struct Chain {
    std::vector<std::string> directories;  // short names, topmost first
    std::int64_t size_bytes = 0;
    std::vector<std::string> warnings;
  };
  Result<Chain> ensure(const std::vector<std::string>& diff_ids,
                       const std::vector<std::string>& blobs, const BlobStore& store,
                       const LayerLimits& limits);
  // The same for what must be there already. Errors: not_found.
  Result<Chain> find(const std::vector<std::string>& diff_ids) const;
  // Removes every layer that is neither in a named chain nor one of the directories, which are
  // written as in Chain; how many bytes were freed.
  Result<std::int64_t> keep_only(const std::vector<std::string>& chains,
                                 const std::vector<std::string>& directories);

 private:
  LayerStore(std::string root, Unpacker& unpacker) : root_(std::move(root)), unpacker_(&unpacker) {}
  Status ensure_all(const std::vector<std::string>& diff_ids, const std::vector<std::string>& blobs,
                    const BlobStore& store, LayerLimits limits, Chain& out,
                    std::vector<std::string>& made);
  Status unpack_layer(const std::vector<std::string>& chains, std::size_t index,
                      const std::string& diff_id, const std::string& blob, const BlobStore& store,
                      const LayerLimits& limits, Chain& out);
  Status remove_layer(const std::string& chain_digits) const;
  std::string directory(const std::string& chain) const;
  Status make_short_name(const std::string& chain) const;
  Result<std::int64_t> read_size(const std::string& chain) const;

  std::string root_;
  Unpacker* unpacker_;
};

}  // namespace moored::image
