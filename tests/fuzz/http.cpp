// The head of an HTTP request, its target and its query.
#include <string>

#include "net/api/head.hpp"
#include "net/api/url.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace moored::net::api {
namespace {

// However the bytes are cut on their way, they are one request or one refusal.
void read_in_pieces(std::string_view text, HeadReader::State whole_state, const HeadReader& whole) {
  HeadReader reader;
  auto state = HeadReader::State::more;
  for (std::size_t end = 0; end <= text.size() && state == HeadReader::State::more; ++end) {
    state = reader.read(text.substr(0, end));
  }
  fuzz::check(state == whole_state, "pieces come to the same end");
  if (state == HeadReader::State::refused) {
    fuzz::check(reader.status() == whole.status() && reader.reason() == whole.reason(),
                "pieces are refused for the same reason");
    fuzz::check(reader.status() >= 400 && reader.status() < 600, "a refusal has its status");
  }
  if (state == HeadReader::State::ready) {
    fuzz::check(reader.size() == whole.size() && reader.head().headers == whole.head().headers &&
                    reader.head().target == whole.head().target,
                "pieces are the same head");
  }
}

void judge_target(const std::string& target) {
  fuzz::check(!target.empty() && target.front() == '/', "a target starts with a slash");
  const auto mark = target.find('?');
  if (const auto path = parse_path(target.substr(0, mark))) {
    for (const auto& segment : path->segments) {
      fuzz::check(!segment.empty() && segment != "." && segment != ".." &&
                      segment.find('/') == std::string::npos &&
                      segment.find('\0') == std::string::npos,
                  "a segment is a plain name");
    }
  }
  if (mark == std::string::npos) return;
  if (const auto query = Query::parse(target.substr(mark + 1))) {
    (void)query->integer("limit", 0);
    (void)query->truth("watch");
  }
}

}  // namespace
}  // namespace moored::net::api

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace moored;
  using namespace moored::net::api;
  const auto text = fuzz::text_of(bytes, size);
  HeadReader reader;
  const auto state = reader.read(text);
  if (size <= 4096) read_in_pieces(text, state, reader);
  if (state != HeadReader::State::ready) return 0;
  judge_target(reader.head().target);
  Request request;
  request.headers = reader.head().headers;
  (void)is_foreign_site(request);
  (void)is_known_host(reader.head().host, "127.0.0.1", {"node.example"});
  return 0;
}
