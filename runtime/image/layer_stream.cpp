#include "runtime/image/layer_stream.hpp"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

constexpr std::size_t kInBytes = 64U << 10U;
constexpr std::size_t kOutBytes = 256U << 10U;
// Windows beyond 32 MiB would let a layer choose how much memory the worker needs.
constexpr int kMaxZstdWindowLog = 25;

Unexpected bad_stream(const std::string& what) {
  return Unexpected(
      Error{Code::invalid, "the layer cannot be read: " + what, "ManifestInvalid", {}, {}});
}

// Turns compressed bytes into uncompressed ones, a piece at a time.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Takes from input, writes at most space bytes to output; the number written. Both may stall
  // when input is empty. ended: the compressed stream may stop here.
  virtual Result<std::size_t> decode(std::string_view& input, char* output, std::size_t space) = 0;
  virtual bool ended() const = 0;
};

class PlainDecoder final : public Decoder {
 public:
  Result<std::size_t> decode(std::string_view& input, char* output, std::size_t space) override {
    const auto count = std::min(space, input.size());
    std::memcpy(output, input.data(), count);
    input.remove_prefix(count);
    return count;
  }
  bool ended() const override { return true; }
};

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() { ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK; }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  Result<std::size_t> decode(std::string_view& input, char* output, std::size_t space) override {
    if (!ready_) return fail(Code::exhausted, "no memory for gzip");
    if (ended_ && !input.empty()) {  // the next member
      inflateReset(&stream_);
      ended_ = false;
    }
    if (ended_) return std::size_t{0};
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(output);
    stream_.avail_out = static_cast<uInt>(space);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    input.remove_prefix(input.size() - stream_.avail_in);
    if (code == Z_STREAM_END) {
      ended_ = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return bad_stream("gzip: " + std::string(stream_.msg != nullptr ? stream_.msg : "damaged"));
    }
    return space - stream_.avail_out;
  }
  bool ended() const override { return ended_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
  bool ended_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Result<std::size_t> decode(std::string_view& input, char* output, std::size_t space) override {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output, space, 0};
    const auto left = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(left) != 0) {
      return bad_stream("zstd: " + std::string(ZSTD_getErrorName(left)));
    }
    if (in.pos > 0 || out.pos > 0) ended_ = left == 0;
    input.remove_prefix(in.pos);
    return out.pos;
  }
  bool ended() const override { return ended_; }

 private:
  ZSTD_DStream* stream_;
  bool ended_ = false;
};

std::unique_ptr<Decoder> make_decoder(std::string_view start) {
  if (start.substr(0, 2) == "\x1f\x8b") return std::make_unique<GzipDecoder>();
  const auto* bytes = reinterpret_cast<const unsigned char*>(start.data());
  const bool frame = start.size() >= 4 && bytes[1] == 0xb5 && bytes[2] == 0x2f &&
                     bytes[3] == 0xfd && bytes[0] == 0x28;
  // A skippable frame may come first: 0x184D2A50 to 5F, little endian.
  const bool skippable = start.size() >= 4 && (bytes[0] & 0xf0U) == 0x50 && bytes[1] == 0x2a &&
                         bytes[2] == 0x4d && bytes[3] == 0x18;
  if (frame || skippable) return std::make_unique<ZstdDecoder>();
  return std::make_unique<PlainDecoder>();
}

}  // namespace

struct LayerStream::State {
  int fd;
  LayerLimits limits;
  std::vector<char> in = std::vector<char>(kInBytes);
  std::vector<char> out = std::vector<char>(kOutBytes);
  std::string_view pending;  // compressed bytes not yet decoded, inside in
  bool at_end = false;
  std::unique_ptr<Decoder> decoder;
  Sha256 digest;
  std::int64_t compressed = 0;
  std::int64_t uncompressed = 0;

  // Fills in from the descriptor; at least four bytes the first time, for the magic.
  Status fill() {
    std::size_t size = 0;
    while (!at_end && size < (decoder ? 1U : 4U)) {
      const auto got = ::read(fd, in.data() + size, in.size() - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Unexpected(system_error("read the layer", errno));
      at_end = got == 0;
      size += static_cast<std::size_t>(got);
    }
    compressed += static_cast<std::int64_t>(size);
    pending = {in.data(), size};
    if (!decoder) decoder = make_decoder(pending);
    return {};
  }

  Status check_limits() const {
    const auto over = [](const std::string& what) {
      return Unexpected(
          Error{Code::exhausted, "the layer is too large: " + what, "LayerLimit", {}, {}});
    };
    if (uncompressed > limits.bytes) {
      return over("more than " + std::to_string(limits.bytes) + " bytes");
    }
    if (uncompressed > limits.ratio_free_bytes && uncompressed / limits.ratio > compressed) {
      return over("more than " + std::to_string(limits.ratio) + " times its compressed size");
    }
    return {};
  }
};

LayerStream::LayerStream(int fd, const LayerLimits& limits) : state_(std::make_unique<State>()) {
  state_->fd = fd;
  state_->limits = limits;
}
LayerStream::~LayerStream() = default;

Result<std::string_view> LayerStream::read() {
  auto& s = *state_;
  for (;;) {
    if (s.pending.empty() && !s.at_end) MOORED_CHECK(s.fill());
    MOORED_TRY(const auto got, s.decoder->decode(s.pending, s.out.data(), s.out.size()));
    if (got > 0) {
      s.uncompressed += static_cast<std::int64_t>(got);
      MOORED_CHECK(s.check_limits());
      const std::string_view bytes(s.out.data(), got);
      s.digest.update(bytes);
      return bytes;
    }
    if (!s.pending.empty() || !s.at_end) continue;
    if (!s.decoder->ended()) return bad_stream("it ends in the middle");
    return std::string_view();
  }
}

Status LayerStream::drain() {
  for (;;) {
    MOORED_TRY(const auto bytes, read());
    if (bytes.empty()) return {};
  }
}

std::string LayerStream::finish_digest() {
  return "sha256:" + state_->digest.finish_hex();
}
std::int64_t LayerStream::compressed_bytes() const {
  return state_->compressed;
}
std::int64_t LayerStream::uncompressed_bytes() const {
  return state_->uncompressed;
}

}  // namespace moored::image
