// Tokens, who a request comes from, and answers that are compressed or held back.
#include "net/api/access.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <set>

#include "net/api/compression.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"
#include "tests/unit/net/api_fake.hpp"

namespace moored::net::api {
namespace {

const std::string kHash = sha256_hex("moored_ada");
const std::string kOther = sha256_hex("moored_bob");

Now now_at(const char* time, int second = 0) {
  return {*parse_time(time), MonoTime(std::chrono::seconds(second))};
}
const Now kNow = now_at("2026-01-01T00:00:00Z");

// A file of its own, gone with the test.
struct File {
  std::string directory;
  std::string path;
  File() {
    std::string name = (std::filesystem::temp_directory_path() / "moored-api-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    path = directory + "/tokens";
  }
  ~File() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void put(const std::string& text, mode_t mode = 0600) const {
    REQUIRE(write_file_durably(path, text, mode));
    REQUIRE(::chmod(path.c_str(), mode) == 0);
  }
};

TEST_CASE("access: tokens are drawn and differ") {
  SystemRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto token = make_token(random);
    CHECK(token.size() == std::string("moored_").size() + 43);  // 256 bits in base64
    CHECK(token.find_first_of("+/= \n") == std::string::npos);
    CHECK(seen.insert(token).second);
  }
}

TEST_CASE("access: a file of tokens is read strictly") {
  const auto rows = parse_tokens("# who may read\n\nada sha256:" + kHash +
                                     "\n\tbob  sha256:" + kOther + "\t2026-01-01T00:00:00Z \r\n",
                                 "tokens");
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].name == "ada");
  CHECK_FALSE((*rows)[0].expires);
  CHECK((*rows)[1].expires == kNow.wall);
  const auto again = parse_tokens(format_token_row((*rows)[1]), "tokens");
  REQUIRE(again);
  CHECK((*again)[0].hash == kOther);
  CHECK((*again)[0].expires == kNow.wall);
  for (const std::string& line : std::vector<std::string>{
           "ada", "ada moored_ada", "ada sha256:abc", "ada sha256:" + kHash + " tomorrow",
           "ada sha256:" + kHash + " 2026-01-01T00:00:00Z more", "a/b sha256:" + kHash,
           std::string(65, 'a') + " sha256:" + kHash, "ada sha512:" + kHash,
           "ada sha256:" + kHash + "\nbob sha256:" + kHash, "ada sha256:A" + kHash.substr(1)}) {
    INFO(line);
    const auto refused = parse_tokens("# first\n" + line, "tokens");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::invalid);
    CHECK(refused.error().text().find("tokens:") != std::string::npos);
    // Somebody may have written the token itself there.
    CHECK(refused.error().text().find("moored_ada") == std::string::npos);
  }
  std::string many;
  for (std::size_t i = 0; i <= TokenFile::kMaxRows; ++i) {
    many += "n sha256:" + sha256_hex(std::to_string(i)) + "\n";
  }
  CHECK(parse_tokens(many, "tokens").error().code == Code::exhausted);
}

TEST_CASE("access: texts are equal or not, wherever they differ") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time(kHash, kHash));
  for (std::size_t i = 0; i < kHash.size(); ++i) {
    auto other = kHash;
    other[i] = other[i] == '0' ? '1' : '0';
    CHECK_FALSE(equal_in_constant_time(kHash, other));
  }
  CHECK_FALSE(equal_in_constant_time(kHash, kHash.substr(1)));
}

TEST_CASE("access: a token names its owner until it expires") {
  const std::vector<TokenRow> rows{{"ada", kHash, std::nullopt}, {"bob", kOther, kNow.wall}};
  const auto before = kNow.wall - std::chrono::seconds(1);
  CHECK(find_name(rows, "moored_ada", kNow.wall) == "ada");
  CHECK(find_name(rows, "moored_bob", before) == "bob");
  CHECK_FALSE(find_name(rows, "moored_bob", kNow.wall));
  for (const std::string& wrong :
       std::vector<std::string>{"", "moored_", "moored_adaa", kHash, std::string(5000, 'a')}) {
    CHECK_FALSE(find_name(rows, wrong, before));
  }
}

TEST_CASE("access: a file that others can read or write is refused") {
  File file;
  CHECK(TokenFile::open(file.path).error().code == Code::not_found);
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0666U}) {
    file.put("ada sha256:" + kHash + "\n", mode);
    const auto refused = TokenFile::open(file.path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::denied);
    CHECK(refused.error().reason == "KeyExposed");
    CHECK(refused.error().fix.find("chmod 600") != std::string::npos);
  }
  file.put("ada sha256:" + kHash + "\n", 0400);
  CHECK(TokenFile::open(file.path));
}

TEST_CASE("access: changes of the file count within a second") {
  File file;
  file.put("ada sha256:" + kHash + "\n");
  const auto opened = TokenFile::open(file.path);
  REQUIRE(opened);
  auto& tokens = **opened;
  int second = 10;
  const auto may = [&](const char* token) {
    second += 2;
    return tokens.find_user(token, now_at("2026-01-01T00:00:00Z", second)).has_value();
  };
  CHECK(may("moored_ada"));
  CHECK_FALSE(may("moored_bob"));
  file.put("bob sha256:" + kOther + "\n");
  CHECK(may("moored_bob"));
  CHECK_FALSE(may("moored_ada"));
  // A mistake leaves what was said before; a file that others can read, or none, lets nobody in.
  file.put("what\n");
  CHECK(may("moored_bob"));
  file.put("bob sha256:" + kOther + "\n", 0644);
  CHECK_FALSE(may("moored_bob"));
  file.put("bob sha256:" + kOther + "\n");
  CHECK(may("moored_bob"));
  REQUIRE(::unlink(file.path.c_str()) == 0);
  CHECK_FALSE(may("moored_bob"));
  file.put("ada sha256:" + kHash + "\n");
  CHECK(may("moored_ada"));
}

TEST_CASE("access: who asks is told by certificate or header, never by the address") {
  File file;
  file.put("ada sha256:" + kHash + "\n");
  auto tokens = TokenFile::open(file.path);
  REQUIRE(tokens);
  Access access(*std::move(tokens), "moored_local");
  const auto user = [&](const std::string& header, const std::string& peer = {}) {
    Request request;
    request.query = "access_token=moored_ada&token=moored_ada";
    if (!header.empty()) request.headers.push_back({"Authorization", header});
    return access.find_user(request, peer, kNow).value_or("nobody");
  };
  CHECK(user("Bearer moored_ada") == "ada");
  CHECK(user("bearer  moored_ada") == "ada");
  CHECK(user("Bearer moored_local") == kLocalUser);
  CHECK(user("") == "nobody");
  CHECK(user("Bearer moored_bob") == "nobody");
  CHECK(user("Bearer ") == "nobody");
  CHECK(user("Bearer") == "nobody");
  CHECK(user("Basic moored_ada") == "nobody");
  CHECK(user("moored_ada") == "nobody");
  CHECK(user("", "node-2") == "node-2");
  Access alone(nullptr, "");
  CHECK_FALSE(alone.find_user(Request(), {}, kNow));
}

TEST_CASE("access: reviews tell who asks") {
  test::FakeApi api;
  Request request;
  request.method = "POST";
  request.path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  request.body = "{}";
  request.user = "ada";
  const auto body = read_json(*answer(request, api.context).body);
  REQUIRE(body);
  const auto* info = body->find("status")->find("userInfo");
  CHECK(info->find("username")->scalar == "ada");
  CHECK(info->find("groups")->items.at(0).scalar == "system:authenticated");
}

// ---- compression --------------------------------------------------------------------------------

std::string inflated(const std::string& packed, std::size_t size) {
  std::string out(size + 1, '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  CHECK(ended == Z_STREAM_END);
  out.resize(stream.total_out);
  return out;
}

Request accepting(const std::string& coding) {
  Request request;
  if (!coding.empty()) request.headers.push_back({"Accept-Encoding", coding});
  return request;
}

TEST_CASE("compression: only clients that take gzip get it") {
  for (const char* yes : {"gzip", "GZIP", "deflate, gzip", "gzip;q=0.5", "*", "br;q=1, gzip;q=1"}) {
    INFO(yes);
    CHECK(takes_gzip(yes));
  }
  for (const char* no : {"", "identity", "gzip;q=0", "gzip; q=0.000", "x-gzip2", "deflate"}) {
    INFO(no);
    CHECK_FALSE(takes_gzip(no));
  }
}

TEST_CASE("compression: a large answer becomes small and reads back") {
  std::string large;
  while (large.size() < 3 * kCompressBytes)
    large += "{\"n\":" + std::to_string(large.size()) + "}";
  const auto packed = compress(make_json(large), accepting("gzip"));
  CHECK(packed.body->size() < large.size() / 2);
  CHECK(inflated(*packed.body, large.size()) == large);
  const std::vector<Header> expected{{"Vary", "Accept-Encoding"}, {"Content-Encoding", "gzip"}};
  CHECK(packed.headers == expected);
}

TEST_CASE("compression: small answers, errors and streams go out as they are") {
  const std::string small(kCompressBytes - 1, 'x');
  const std::string large(kCompressBytes, 'x');
  CHECK(*compress(make_json(small), accepting("gzip")).body == small);
  CHECK(compress(make_json(small), accepting("gzip")).headers.empty());
  CHECK(*compress(make_json(large, 404), accepting("gzip")).body == large);
  const auto plain = compress(make_json(large), accepting(""));
  CHECK(*plain.body == large);
  CHECK(plain.headers == std::vector<Header>{{"Vary", "Accept-Encoding"}});
}

}  // namespace
}  // namespace moored::net::api
