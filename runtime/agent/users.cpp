#include "runtime/agent/users.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "schema/host/unique_fd.hpp"

namespace moored::agent {
namespace {

// The files come from images, so from strangers: a line or file without end is refused.
constexpr std::size_t kMaxFileBytes = 1U << 20U;
constexpr std::size_t kMaxLineBytes = 64U << 10U;
// Kubernetes allows ids up to the largest signed 32-bit number.
constexpr std::int64_t kMaxId = 0x7fffffff;

// Removed: a whiteout of this layer hides what the layers below have.
enum class Found { yes, no, removed };

// Reads all of a plain file by descriptor.
Result<std::string> read_plain(int fd, const std::string& name) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Unexpected(system_error("read " + name, errno));
  if (!S_ISREG(status.st_mode)) return fail(Code::invalid, name + " of the image is no plain file");
  std::string text;
  std::string piece(64U << 10U, '\0');
  while (true) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unexpected(system_error("read " + name, errno));
    if (got == 0) return text;
    text.append(piece, 0, static_cast<std::size_t>(got));
    if (text.size() > kMaxFileBytes) {
      return fail(Code::exhausted, name + " of the image is longer than 1 MiB");
    }
  }
}

// Looks for etc/<name> in one layer.
Result<Found> look_in_layer(const std::string& layer, const std::string& name, std::string& text) {
  constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  const UniqueFd root(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Unexpected(system_error("open image layer", errno));
  struct stat status {};
  if (::fstatat(root.get(), "etc", &status, AT_SYMLINK_NOFOLLOW) != 0) return Found::no;
  const auto whiteout = [&] { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0); };
  if (whiteout()) return Found::removed;
  const UniqueFd etc(::openat(root.get(), "etc", kDirectory));
  if (!etc) return fail(Code::invalid, "/etc of the image is no plain directory");
  if (::fstatat(etc.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Found::no;
  if (whiteout()) return Found::removed;
  constexpr int kFile = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  if (!S_ISREG(status.st_mode)) {
    return fail(Code::invalid, "/etc/" + name + " of the image is no plain file");
  }
  const UniqueFd file(::openat(etc.get(), name.c_str(), kFile));
  if (!file) return Unexpected(system_error("open /etc/" + name + " of the image", errno));
  MOORED_TRY(text, read_plain(file.get(), "/etc/" + name));
  return Found::yes;
}

// The topmost layer that has or removes the file decides.
Result<std::string> read_from_layers(const std::vector<std::string>& layers,
                                     const std::string& name) {
  std::string text;
  for (const auto& layer : layers) {
    MOORED_TRY(const Found found, look_in_layer(layer, name, text));
    if (found != Found::no) break;
  }
  return text;
}

// Pieces between separators, empty ones included.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The fields of every line that is not overlong.
std::vector<std::vector<std::string_view>> read_table(std::string_view text, std::size_t columns) {
  std::vector<std::vector<std::string_view>> rows;
  for (const auto line : split(text, '\n')) {
    if (line.empty() || line.size() > kMaxLineBytes) continue;
    auto fields = split(line, ':');
    if (fields.size() >= columns) rows.push_back(std::move(fields));
  }
  return rows;
}

// Decimal digits only: no sign, no exponent, no 0x.
bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Ten digits hold every id; more could overflow the sum.
std::optional<std::uint32_t> parse_id(std::string_view text) {
  if (!is_number(text) || text.size() > 10) return std::nullopt;
  std::int64_t number = 0;
  for (const char c : text) number = number * 10 + (c - '0');
  if (number > kMaxId) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

// A number needs no entry, as in the USER line of an image.
Result<std::uint32_t> find_group(const AccountFiles& files, std::string_view group) {
  if (is_number(group)) {
    if (const auto id = parse_id(group)) return *id;
    return fail(Code::invalid, "group " + std::string(group) + " is out of range");
  }
  for (const auto& row : read_table(files.group, 3)) {
    const auto id = parse_id(row[2]);
    if (row[0] == group && id) return *id;
  }
  return fail(Code::invalid, "unable to find group " + std::string(group) +
                                 ": no matching entries in group file");
}

// Groups that name the user as a member.
std::vector<std::uint32_t> find_memberships(const AccountFiles& files, std::string_view name) {
  std::vector<std::uint32_t> groups;
  for (const auto& row : read_table(files.group, 4)) {
    const auto members = split(row[3], ',');
    const auto id = parse_id(row[2]);
    if (id && std::find(members.begin(), members.end(), name) != members.end()) {
      groups.push_back(*id);
    }
  }
  return groups;
}

}  // namespace

Result<AccountFiles> read_account_files(const std::vector<std::string>& layers) {
  AccountFiles files;
  MOORED_TRY(files.passwd, read_from_layers(layers, "passwd"));
  MOORED_TRY(files.group, read_from_layers(layers, "group"));
  return files;
}

Result<Account> find_account(const AccountFiles& files, std::string_view user) {
  Account account;
  if (user.empty()) user = "0";
  const auto colon = user.find(':');
  const auto name = user.substr(0, colon);
  if (name.empty()) return fail(Code::invalid, "user \"" + std::string(user) + "\" has no name");
  account.numeric = is_number(name);
  const auto wanted = parse_id(name);
  if (account.numeric && !wanted) {
    return fail(Code::invalid, "user " + std::string(name) + " is out of range");
  }
  bool found = false;
  for (const auto& row : read_table(files.passwd, 6)) {
    const auto uid = parse_id(row[2]);
    const auto gid = parse_id(row[3]);
    if (!uid || !gid || (account.numeric ? *uid != *wanted : row[0] != name)) continue;
    account.uid = *uid;
    account.gid = *gid;
    if (!row[5].empty() && row[5][0] == '/') account.home = std::string(row[5]);
    account.groups = find_memberships(files, row[0]);
    found = true;
    break;
  }
  // A number without an entry is a user all the same, with group 0 and no home.
  if (!found && !account.numeric) {
    return fail(Code::invalid, "unable to find user " + std::string(name) +
                                   ": no matching entries in passwd file");
  }
  if (!found) account.uid = *wanted;
  if (colon != std::string_view::npos) {
    MOORED_TRY(account.gid, find_group(files, user.substr(colon + 1)));
    // With a group given, the user's further memberships do not count.
    account.groups.clear();
  }
  return account;
}

}  // namespace moored::agent
