// Lists of references, as servers send them and as they do not, cut down to what is wanted.
#include "gitsync/repo/advertisement.hpp"

#include <catch2/catch.hpp>

#include "servers.hpp"

using namespace moored::git;

namespace {

const std::string kId(40, '1');

std::string reference(const std::string& name) { return packet(kId + ' ' + name + '\n'); }

// With the name of the service, as over HTTP; the first one carries the capabilities.
std::string head() {
  return packet("# service=git-upload-pack\n") + "0000" +
         packet(kId + " HEAD" + std::string(1, '\0') + "ofs-delta\n");
}

// What is left of it when it comes in pieces of this size.
std::string filtered(const std::string& wanted, const std::string& bytes, std::size_t piece) {
  AdvertisementFilter filter(wanted);
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += piece) filter.take(bytes.substr(at, piece), out);
  filter.finish(out);
  return out;
}

}  // namespace

TEST_CASE("only the wanted references are handed on", "[advertisement]") {
  const std::string list = head() + reference("refs/heads/a") + reference("refs/heads/main") +
                           reference("refs/heads/main2") + reference("refs/pull/1/head") +
                           reference("refs/tags/v1") + reference("refs/tags/v1^{}") +
                           packet("shallow " + kId) + "0000";
  const std::string end = packet("shallow " + kId) + "0000";
  const struct {
    const char* wanted;
    std::string left;
  } rows[] = {
      {"refs/heads/main", reference("refs/heads/main")},
      {"refs/tags/v1", reference("refs/tags/v1") + reference("refs/tags/v1^{}")},
      {"refs/heads/", reference("refs/heads/a") + reference("refs/heads/main") +
                          reference("refs/heads/main2")},
      {"refs/heads/none", ""},
      {"HEAD", ""},
  };
  for (const auto& row : rows) {
    for (const std::size_t piece : {1U, 3U, 50U, 4096U}) {
      INFO(row.wanted << " in pieces of " << piece);
      CHECK(filtered(row.wanted, list, piece) == head() + row.left + end);
    }
  }
  CHECK(filtered("", list, 7) == list);
}

TEST_CASE("what is no list of references is handed on as it came", "[advertisement]") {
  for (const std::string& bytes :
       {std::string("<html>not git</html>"), std::string("00"), std::string("zzzz") + kId,
        packet("ERR no such repository\n"), std::string("ffff") + kId + " refs/heads/x",
        std::string("0003000200010000"), "-004" + reference("refs/heads/x"),
        packet(std::string(40, 'g') + " refs/heads/x\n"), packet(kId), packet("")}) {
    for (const std::size_t piece : {1U, 4096U}) {
      INFO(bytes << " in pieces of " << piece);
      CHECK(filtered("refs/heads/main", bytes, piece) == bytes);
    }
  }
}

TEST_CASE("an endless list takes no room", "[advertisement]") {
  AdvertisementFilter filter("refs/heads/main");
  std::string out;
  std::size_t sent = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string line = reference("refs/heads/" + std::to_string(i));
    sent += line.size();
    filter.take(line, out);
  }
  CHECK(sent > 1'000'000);
  CHECK(out.empty());
}
