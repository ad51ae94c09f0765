#include "net/api/tokens.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::net::api {
namespace {

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kMaxToken = 4096;
constexpr std::size_t kMaxName = 64;
constexpr std::chrono::seconds kLookAgain{1};

// Names show up in reviews and in files of operators: nothing that needs quoting.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_' || c == '@';
         });
}

bool is_hash(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The words of a line; tabs and blanks part them.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) return words;
    const auto end = line.find_first_of(" \t\r", start);
    words.push_back(line.substr(start, end == std::string_view::npos ? end : end - start));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end);
  }
}

Unexpected bad_line(const std::string& file, int line, const std::string& what) {
  return Unexpected(Error{Code::invalid,
                          what,
                          "ConfigInvalid",
                          {file, line, 1, {}},
                          "write NAME sha256:HEX [EXPIRY], or let `moorctl token` do it"});
}

Result<TokenRow> parse_row(const std::vector<std::string_view>& words, const std::string& file,
                           int line) {
  if (words.size() < 2 || words.size() > 3) return bad_line(file, line, "not a token's line");
  TokenRow row;
  row.name = words[0];
  if (!is_name(row.name)) return bad_line(file, line, "a name is 1 to 64 letters, digits, -._@");
  const bool prefixed = words[1].substr(0, kHashPrefix.size()) == kHashPrefix;
  row.hash = prefixed ? words[1].substr(kHashPrefix.size()) : std::string_view{};
  // The word itself is not repeated: somebody may have put the token there.
  if (!is_hash(row.hash)) return bad_line(file, line, "the second word is no sha256:HEX");
  if (words.size() == 3) {
    row.expires = parse_time(words[2]);
    if (!row.expires) return bad_line(file, line, "the third word is no time in RFC 3339");
  }
  return row;
}

// Whoever can write the file can let himself in.
Status check_file(const struct stat& found, const std::string& path) {
  const bool own = found.st_uid == ::geteuid() || found.st_uid == 0;
  if (own && (found.st_mode & 077U) == 0) return {};
  return Unexpected(Error{Code::denied,
                          path + " can be read or written by others",
                          "KeyExposed",
                          {path, 0, 0, {}},
                          "chown root " + path + " && chmod 600 " + path});
}

std::string mark_of(const struct stat& found) {
  return std::to_string(found.st_ino) + "." + std::to_string(found.st_size) + "." +
         std::to_string(found.st_mode) + "." + std::to_string(found.st_uid) + "." +
         std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec);
}

}  // namespace

// Base64 without what needs escaping in URLs and shells.
std::string make_token(Random& random) {
  std::string bytes;
  for (std::size_t i = 0; i < kTokenBytes / sizeof(std::uint64_t); ++i) {
    const std::uint64_t bits = random.next();
    bytes.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  auto text = base64_encode(bytes);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(std::find(text.begin(), text.end(), '='), text.end());
  return "moored_" + text;
}

std::string format_token_row(const TokenRow& row) {
  std::string line = row.name + " " + std::string(kHashPrefix) + row.hash;
  if (row.expires) line += " " + format_time(*row.expires);
  return line;
}

Result<std::vector<TokenRow>> parse_tokens(std::string_view text, const std::string& file) {
  std::vector<TokenRow> rows;
  std::set<std::string> seen;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = text.find('\n');
    const auto words = words_of(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (words.empty() || words[0].front() == '#') continue;
    MOORED_TRY(auto row, parse_row(words, file, line));
    if (!seen.insert(row.hash).second) return bad_line(file, line, "the same hash as before");
    if (rows.size() == TokenFile::kMaxRows) {
      return fail(Code::exhausted,
                  file + " holds more than " + std::to_string(rows.size()) + " tokens");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

bool equal_in_constant_time(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  // volatile: the compiler may not leave the loop early.
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | (static_cast<unsigned char>(left[i]) ^ static_cast<unsigned char>(right[i])));
  }
  return difference == 0;
}

std::optional<std::string> find_name(const std::vector<TokenRow>& rows, std::string_view token,
                                     Time now) {
  if (token.empty() || token.size() > kMaxToken) return std::nullopt;
  const auto hash = sha256_hex(token);
  std::optional<std::string> found;
  for (const auto& row : rows) {
    const bool equal = equal_in_constant_time(row.hash, hash);
    if (equal && (!row.expires || now < *row.expires)) found = row.name;
  }
  return found;
}

struct TokenFile::State {
  struct Current {
    std::vector<TokenRow> rows;
    std::string mark;
    std::uint64_t reads = 0;
    MonoTime looked{};
  };
  std::string path;
  Guarded<Current> current;

  Status read(Current& into) const;
  void look_again(Current& into, MonoTime now) const;
};

// A file that others can read says nothing, whatever it holds.
Status TokenFile::State::read(Current& into) const {
  ++into.reads;
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    const int number = errno;
    into.rows.clear();
    into.mark.clear();
    return Unexpected(system_error(path, number));
  }
  into.mark = mark_of(found);
  if (auto safe = check_file(found, path); !safe) {
    into.rows.clear();
    return safe;
  }
  MOORED_TRY(const auto text, read_file(path, kMaxBytes));
  MOORED_TRY(into.rows, parse_tokens(text, path));
  return {};
}

// The same trouble is told once, because the mark stays the same.
void TokenFile::State::look_again(Current& into, MonoTime now) const {
  if (now - into.looked < kLookAgain) return;
  into.looked = now;
  struct stat found {};
  const bool there = ::stat(path.c_str(), &found) == 0;
  if ((there ? mark_of(found) : std::string()) == into.mark) return;
  if (const auto done = read(into); !done) {
    log(LogLevel::error, "the API's tokens cannot be read", {{"error", done.error().text()}});
  }
}

TokenFile::TokenFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenFile::~TokenFile() = default;

Result<std::unique_ptr<TokenFile>> TokenFile::open(std::string path) {
  auto state = std::make_unique<State>();
  state->path = std::move(path);
  const auto done =
      state->current.with([&](State::Current& current) { return state->read(current); });
  if (!done) return Unexpected(Error(done.error()));
  return std::unique_ptr<TokenFile>(new TokenFile(std::move(state)));
}

std::optional<std::string> TokenFile::find_user(std::string_view token, Now now) {
  return state_->current.with([&](State::Current& current) {
    state_->look_again(current, now.mono);
    return find_name(current.rows, token, now.wall);
  });
}

std::uint64_t TokenFile::version(Now now) {
  return state_->current.with([&](State::Current& current) {
    state_->look_again(current, now.mono);
    const auto expired =
        std::count_if(current.rows.begin(), current.rows.end(),
                      [&](const auto& row) { return row.expires && *row.expires <= now.wall; });
    return current.reads * (kMaxRows + 1) + static_cast<std::uint64_t>(expired);
  });
}

}  // namespace moored::net::api
