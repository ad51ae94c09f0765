#include "net/api/compression.hpp"

#include <zlib.h>

#include <optional>

namespace moored::net::api {
namespace {

// Speed before size: level 1 already makes a list a tenth.
constexpr int kLevel = 1;
constexpr int kGzipWindow = 15 + 16;  // the largest window, with a gzip head
constexpr int kMemory = 8;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

// Takes the part before the separator off the front of text.
std::string_view take_until(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  const auto part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return trim(part);
}

// q=0, q=0.0 and so on say: not at all.
bool is_refused(std::string_view parameter) {
  if (parameter.substr(0, 2) != "q=") return false;
  return parameter.find_first_not_of("0.", 2) == std::string_view::npos;
}

// Nothing when zlib has no memory; then the body goes out as it is.
std::optional<std::string> gzip(const std::string& body) {
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK) {
    return std::nullopt;
  }
  std::string out(deflateBound(&stream, static_cast<uLong>(body.size())), '\0');
  // zlib only reads the input, but says so only since a later version.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) return std::nullopt;
  out.shrink_to_fit();  // the bound was that of what cannot be compressed
  return out;
}

}  // namespace

bool takes_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    auto entry = take_until(accept_encoding, ',');
    const auto coding = take_until(entry, ';');
    if (!same_name(coding, "gzip") && coding != "*") continue;
    if (!is_refused(trim(entry))) return true;
  }
  return false;
}

Response compress(Response response, const Request& request) {
  const bool large = response.body && response.body->size() >= kCompressBytes;
  if (response.status != 200 || response.stream || !large) return response;
  response.headers.push_back({"Vary", "Accept-Encoding"});
  if (!takes_gzip(request.header("accept-encoding"))) return response;
  auto packed = gzip(*response.body);
  if (!packed) return response;
  response.body = std::make_shared<const std::string>(*std::move(packed));
  response.headers.push_back({"Content-Encoding", "gzip"});
  return response;
}

}  // namespace moored::net::api
