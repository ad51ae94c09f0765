#include "runtime/image/layer_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::image {
namespace {

// 80 bits of the chain: enough to tell layers apart, short enough for 127 of them in a mount.
constexpr std::size_t kShortDigits = 20;
constexpr const char* kTemporary = ".tmp-";

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

std::string short_name(const std::string& chain) {
  return digest_hex(chain).substr(0, kShortDigits);
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open " + path);
  return fd;
}

std::string make_meta(const std::string& diff_id, const std::string& parent,
                      const UnpackReport& report) {
  auto value = Value::make_map();
  value.put("diffId", Value::of_text(diff_id));
  value.put("parent", Value::of_text(parent));
  value.put("bytes", Value::of_integer(report.file_bytes));
  value.put("entries", Value::of_integer(report.entries));
  return write_json(value);
}

// Removes its directory unless it was kept.
class Scratch {
 public:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  ~Scratch() {
    // What cannot be removed now is removed at the next start, with everything half unpacked.
    if (!path_.empty()) static_cast<void>(remove_tree(path_).has_value());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

}  // namespace

std::vector<std::string> make_chain_ids(const std::vector<std::string>& diff_ids) {
  std::vector<std::string> chains;
  for (const auto& diff_id : diff_ids) {
    chains.push_back(chains.empty() ? diff_id
                                    : "sha256:" + sha256_hex(chains.back() + ' ' + diff_id));
  }
  return chains;
}

Result<LayerStore> LayerStore::open(const std::string& root, Unpacker& unpacker) {
  MOORED_CHECK(make_directories(root + "/layers"));
  MOORED_CHECK(make_directories(root + "/l"));
  MOORED_TRY(const auto names, list_directory(root + "/layers"));
  for (const auto& name : names) {
    if (name.rfind(kTemporary, 0) == 0) MOORED_CHECK(remove_tree(root + "/layers/" + name));
  }
  return LayerStore(root, unpacker);
}

std::string LayerStore::directory(const std::string& chain) const {
  return root_ + "/layers/" + digest_hex(chain);
}

Status LayerStore::make_short_name(const std::string& chain) const {
  const auto link = root_ + "/l/" + short_name(chain);
  const auto target = "../layers/" + digest_hex(chain) + "/diff";
  if (symlink(target.c_str(), link.c_str()) < 0 && errno != EEXIST) return failed("name a layer");
  return {};
}

Result<std::int64_t> LayerStore::read_size(const std::string& chain) const {
  MOORED_TRY(const auto text, read_file(directory(chain) + "/meta.json", 64U << 10U));
  MOORED_TRY(const auto value, read_json(text));
  std::int64_t bytes = 0;
  if (const auto* member = value.find("bytes")) {
    std::from_chars(member->scalar.data(), member->scalar.data() + member->scalar.size(), bytes);
  }
  return bytes;
}

Result<LayerStore::Chain> LayerStore::find(const std::vector<std::string>& diff_ids) const {
  Chain out;
  for (const auto& chain : make_chain_ids(diff_ids)) {
    MOORED_TRY(const auto bytes, read_size(chain));
    out.size_bytes += bytes;
    out.directories.insert(out.directories.begin(), root_ + "/l/" + short_name(chain));
  }
  return out;
}

Status LayerStore::ensure_all(const std::vector<std::string>& diff_ids,
                              const std::vector<std::string>& blobs, const BlobStore& store,
                              LayerLimits limits, Chain& out, std::vector<std::string>& made) {
  const auto chains = make_chain_ids(diff_ids);
  for (std::size_t i = 0; i < chains.size(); ++i) {
    if (!path_exists(directory(chains[i]) + "/meta.json")) {
      MOORED_CHECK(unpack_layer(chains, i, diff_ids[i], blobs[i], store, limits, out));
      made.push_back(chains[i]);
    }
    MOORED_CHECK(make_short_name(chains[i]));
    MOORED_TRY(const auto bytes, read_size(chains[i]));
    limits.bytes -= bytes;  // the budget is the image's, not each layer's
  }
  return {};
}

Result<LayerStore::Chain> LayerStore::ensure(const std::vector<std::string>& diff_ids,
                                             const std::vector<std::string>& blobs,
                                             const BlobStore& store, const LayerLimits& limits) {
  Chain unpacked;
  std::vector<std::string> made;
  auto status = ensure_all(diff_ids, blobs, store, limits, unpacked, made);
  if (!status) {
    for (const auto& chain : made) {
      // The refusal is what matters; a layer that stays is whole, and swept with the next image.
      static_cast<void>(remove_layer(digest_hex(chain)).has_value());
    }
    return Unexpected(std::move(status).error());
  }
  MOORED_TRY(auto out, find(diff_ids));
  out.warnings = std::move(unpacked.warnings);
  return out;
}

// Renamed first: a layer that is half removed is never taken for whole.
Status LayerStore::remove_layer(const std::string& chain_digits) const {
  const auto link = root_ + "/l/" + chain_digits.substr(0, kShortDigits);
  if (unlink(link.c_str()) < 0 && errno != ENOENT) return failed("forget a layer");
  const auto temporary = root_ + "/layers/" + kTemporary + chain_digits;
  if (rename((root_ + "/layers/" + chain_digits).c_str(), temporary.c_str()) < 0) {
    return failed("remove a layer");
  }
  return remove_tree(temporary);
}

Status LayerStore::unpack_layer(const std::vector<std::string>& chains, std::size_t index,
                                const std::string& diff_id, const std::string& blob,
                                const BlobStore& store, const LayerLimits& limits, Chain& out) {
  const auto temporary = make_scratch_name(root_ + "/layers").insert(root_.size() + 8, kTemporary);
  Scratch scratch(temporary);
  MOORED_CHECK(make_directories(temporary));
  if (mkdir((temporary + "/diff").c_str(), 0755) < 0) return failed("start a layer");
  MOORED_TRY(const auto target, open_directory(temporary + "/diff"));
  if (fchmod(target.get(), 0755) < 0) return failed("start a layer");
  MOORED_TRY(const auto source, store.open_blob(blob));
  UnpackRequest request;
  request.source = source.get();
  request.target = target.get();
  request.limits = limits;
  std::vector<UniqueFd> lowers;
  for (std::size_t i = index; i-- > 0;) {
    MOORED_TRY(auto lower, open_directory(directory(chains[i]) + "/diff"));
    request.lowers.push_back(lower.get());
    lowers.push_back(std::move(lower));
  }
  MOORED_TRY(const auto report, unpacker_->run(request));
  if (report.digest != diff_id) {
    return Unexpected(
        Error{Code::corrupt,
              "the layer " + blob + " unpacks to " + report.digest + " instead of " + diff_id,
              "DigestMismatch",
              {},
              {}});
  }
  if (syncfs(target.get()) < 0) return failed("make a layer durable");
  const auto parent = index == 0 ? std::string() : chains[index - 1];
  MOORED_CHECK(write_file_durably(temporary + "/meta.json", make_meta(diff_id, parent, report)));
  MOORED_CHECK(remove_tree(directory(chains[index])));
  if (rename(temporary.c_str(), directory(chains[index]).c_str()) < 0)
    return failed("keep a layer");
  scratch.keep();
  MOORED_TRY(const auto all, open_directory(root_ + "/layers"));
  if (fsync(all.get()) < 0) return failed("make a layer durable");
  out.warnings.insert(out.warnings.end(), report.warnings.begin(), report.warnings.end());
  return {};
}

Result<std::int64_t> LayerStore::keep_only(const std::vector<std::string>& chains,
                                           const std::vector<std::string>& directories) {
  std::set<std::string> kept;
  for (const auto& chain : chains)
    kept.insert(short_name(chain));
  for (const auto& path : directories)
    kept.insert(path.substr(path.rfind('/') + 1));
  std::int64_t freed = 0;
  MOORED_TRY(const auto layers, list_directory(root_ + "/layers"));
  for (const auto& name : layers) {
    if (kept.count(name.substr(0, kShortDigits)) != 0) continue;
    freed += read_size("sha256:" + name).value_or(0);
    MOORED_CHECK(remove_layer(name));
  }
  return freed;
}

}  // namespace moored::image
