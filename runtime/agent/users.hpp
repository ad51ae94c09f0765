// Users and groups from an image's own /etc/passwd and /etc/group, read as hostile files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::agent {

// The text of an image's account files; empty when the image has none.
struct AccountFiles {
  std::string passwd;
  std::string group;
};

// One account, resolved to numbers.
struct Account {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  // further groups that /etc/group names the user in
  std::string home = "/";
  bool numeric = true;                // the user was written as a number
};

// Reads etc/passwd and etc/group from unpacked layers, topmost first; the first that has the file
// decides. Only plain files of at most 1 MiB, never through a link.
// Errors: invalid (a link, device or FIFO in its place), exhausted (too long).
Result<AccountFiles> read_account_files(const std::vector<std::string>& layers);

// Resolves user, user:group, uid or uid:gid; empty means 0. Numbers must be within 0…2³¹-1.
// Errors: invalid (unknown name, number out of range, empty part).
Result<Account> find_account(const AccountFiles& files, std::string_view user);

}  // namespace moored::agent
