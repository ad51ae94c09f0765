#include "runtime/image/image_fetch.hpp"

#include <optional>

#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

// Tries of one blob that each brought at least a byte.
constexpr int kMaxResumes = 20;

Unexpected refuse(Code code, const char* reason, std::string what) {
  return Unexpected(Error{code, std::move(what), reason, {}, {}});
}

// A document as it came, and what the registry called it.
struct Fetched {
  std::string text;
  RegistryHead head;
  std::string digest;
};

class Fetch {
 public:
  explicit Fetch(const FetchPorts& ports) : ports_(ports) {}

  Result<FetchedImage> run(const ImageName& name) {
    const auto& reference = name.digest.empty() ? name.tag : name.digest;
    MOORED_TRY(const auto digest, take_document(reference, {}, 0));
    return FetchedImage{digest, bytes_};
  }

 private:
  // Index or manifest, by tag or digest. The digest of the manifest that this machine can run.
  Result<std::string> take_document(const std::string& reference, const Descriptor& entry,
                                    int depth) {
    if (depth >= kMaxIndexDepth) {
      return refuse(Code::invalid, "ManifestInvalid",
                    "indexes lie more than " + std::to_string(kMaxIndexDepth) + " deep");
    }
    MOORED_TRY(const auto fetched, fetch_document(reference, entry));
    MOORED_TRY(const auto document, parse_document(fetched.text, fetched.head.media_type));
    if (!entry.media_type.empty() && entry.media_type != fetched.head.media_type) {
      return refuse(Code::invalid, "ManifestInvalid",
                    "the index calls " + fetched.digest + " " + entry.media_type +
                        ", the registry " + fetched.head.media_type);
    }
    if (document.is_index) {
      MOORED_TRY(const auto fitting, choose_platform(document.manifests));
      return take_document(fitting.front().digest, fitting.front(), depth + 1);
    }
    MOORED_CHECK(take_image(document));
    ports_.keeper.keep(fetched.digest);
    MOORED_TRY(const auto kept, ports_.store.add_text(fetched.text));
    return kept.digest;
  }

  // What the bytes hash to decides; a digest that was asked for or promised must be that.
  Result<Fetched> fetch_document(const std::string& reference, const Descriptor& entry) {
    Fetched out;
    if (ports_.store.contains(reference)) {
      MOORED_TRY(out.text, ports_.store.read_document(reference));
      out.digest = reference;
      out.head.media_type = entry.media_type;
      return out;
    }
    RegistryAsk ask;
    ask.kind = RegistryAsk::Kind::manifest;
    ask.reference = reference;
    ask.limit = static_cast<std::int64_t>(kMaxDocumentBytes);
    const RegistrySink sink{[&](const RegistryHead& head) -> Status {
                              out.head = head;
                              return {};
                            },
                            [&](std::string_view bytes) -> Status {
                              out.text.append(bytes);
                              return {};
                            }};
    MOORED_CHECK(ports_.link.ask(ask, sink));
    out.digest = "sha256:" + sha256_hex(out.text);
    for (const auto& promised : {is_digest(reference) ? reference : std::string(),
                                 out.head.digest}) {
      if (promised.empty() || promised == out.digest) continue;
      return refuse(Code::corrupt, "DigestMismatch",
                    "the manifest " + promised.substr(0, 80) + " really is " + out.digest);
    }
    if (!entry.digest.empty() &&
        entry.size_bytes != static_cast<std::int64_t>(out.text.size())) {
      return refuse(Code::corrupt, "DigestMismatch",
                    "the manifest " + out.digest + " has " + std::to_string(out.text.size()) +
                        " bytes instead of " + std::to_string(entry.size_bytes));
    }
    return out;
  }

  // The configuration is judged before the first byte of a layer is asked for.
  Status take_image(const Document& document) {
    std::int64_t total = document.configuration.size_bytes;
    for (const auto& layer : document.layers) {
      if (layer.size_bytes > ports_.image_bytes - total) {
        return refuse(Code::exhausted, "LayerLimit",
                      "the image is larger than " + std::to_string(ports_.image_bytes) + " bytes");
      }
      total += layer.size_bytes;
    }
    if (document.configuration.size_bytes > static_cast<std::int64_t>(kMaxDocumentBytes)) {
      return refuse(Code::exhausted, "LayerLimit", "the configuration is longer than 4 MiB");
    }
    MOORED_CHECK(take_blob(document.configuration));
    MOORED_TRY(const auto json, ports_.store.read_document(document.configuration.digest));
    MOORED_TRY(const auto configuration, parse_configuration(json));
    if (configuration.diff_ids.size() != document.layers.size()) {
      return refuse(Code::invalid, "ManifestInvalid",
                    "the image has " + std::to_string(document.layers.size()) +
                        " layers, its configuration names " +
                        std::to_string(configuration.diff_ids.size()));
    }
    for (const auto& layer : document.layers) MOORED_CHECK(take_blob(layer));
    return {};
  }

  Status take_blob(const Descriptor& blob) {
    ports_.keeper.keep(blob.digest);
    const BlobGate::Pass pass(ports_.gate, blob.digest);
    if (ports_.store.contains(blob.digest)) return {};
    std::optional<BlobWriter> writer;
    for (int round = 0;; ++round) {
      const auto before = writer ? writer->size_bytes() : 0;
      auto status = fetch_part(blob, writer);
      if (status) break;
      if (status.error().reason == "BlobUnknown") {
        return refuse(Code::corrupt, "DigestMismatch",
                      "the registry has nothing under " + blob.digest +
                          ", which its manifest names");
      }
      const bool brought = writer && writer->size_bytes() > before;
      if (status.error().reason != "ConnectionLost" || !brought || round == kMaxResumes) {
        return Unexpected(std::move(status).error().context("blob " + blob.digest));
      }
    }
    MOORED_TRY(const auto kept, writer->commit(blob.digest, blob.size_bytes));
    return {};
  }

  // Goes on where the writer ends; a server that starts over makes the writer start over.
  Status fetch_part(const Descriptor& blob, std::optional<BlobWriter>& writer) {
    RegistryAsk ask;
    ask.kind = RegistryAsk::Kind::blob;
    ask.reference = blob.digest;
    ask.offset = writer ? writer->size_bytes() : 0;
    ask.limit = blob.size_bytes - ask.offset;
    const RegistrySink sink{
        [&](const RegistryHead& head) -> Status {
          if (writer && head.offset == writer->size_bytes()) return {};
          MOORED_TRY(auto fresh, ports_.store.start());
          writer.emplace(std::move(fresh));
          return {};
        },
        [&](std::string_view bytes) -> Status {
          bytes_ += static_cast<std::int64_t>(bytes.size());
          return writer->write(bytes);
        }};
    auto status = ports_.link.ask(ask, sink);
    if (status || status.error().code != Code::exhausted || !status.error().reason.empty()) {
      return status;
    }
    // The only limit without a reason of its own is the size that the manifest gave.
    return Unexpected(std::move(status).error().because("DigestMismatch"));
  }

  FetchPorts ports_;
  std::int64_t bytes_ = 0;
};

}  // namespace

BlobGate::Pass::Pass(BlobGate& gate, const std::string& digest) : gate_(gate), digest_(digest) {
  std::unique_lock lock(gate_.mutex_);
  gate_.changed_.wait(lock, [&] { return gate_.held_.count(digest_) == 0; });
  gate_.held_.insert(digest_);
}

BlobGate::Pass::~Pass() {
  {
    const std::lock_guard lock(gate_.mutex_);
    gate_.held_.erase(digest_);
  }
  gate_.changed_.notify_all();
}

Result<FetchedImage> fetch_image(const ImageName& name, const FetchPorts& ports) {
  return Fetch(ports).run(name);
}

}  // namespace moored::image
