#include "reconciler/store/rescue.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "reconciler/store/anchor.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"

namespace moored {
namespace {

using store::Anchor;

constexpr std::string_view kLostPrefix = "lost-";
constexpr std::array<const char*, 4> kLostFiles{"moored.db", "moored.db-wal", "moored.db-shm",
                                                "audit"};

std::string restored_path(const std::string& directory) {
  return directory + "/restored";
}

std::string mark_path(const std::string& directory) {
  return directory + "/damaged";
}

// 20261120T151300Z, with a number behind it when that second has one already.
std::string make_lost_directory(const std::string& directory, Now now) {
  std::string date = format_time(now.wall);
  std::erase_if(date, [](char letter) { return letter == '-' || letter == ':'; });
  const std::string base = directory + "/" + std::string(kLostPrefix) + date;
  std::string path = base;
  for (int n = 2; path_exists(path); ++n) path = base + "-" + std::to_string(n);
  return path;
}

// The names begin with the date, so the first ones are the oldest.
Status remove_oldest(const std::string& directory) {
  MOORED_TRY(auto names, list_directory(directory));
  std::erase_if(names, [](const std::string& name) { return name.rfind(kLostPrefix, 0) != 0; });
  for (std::size_t i = 0; i + kMaxSetAside < names.size(); ++i) {
    MOORED_CHECK(remove_tree(directory + "/" + names[i]));
  }
  return {};
}

// The database moves last: as long as it is there a crash makes the next start do it again.
Result<std::string> set_aside(const std::string& directory, const std::string& reason, Now now) {
  const std::string to = make_lost_directory(directory, now);
  MOORED_CHECK(make_directories(to, 0700));
  MOORED_CHECK(write_file_durably(to + "/reason", reason + "\n"));
  for (auto name = kLostFiles.rbegin(); name != kLostFiles.rend(); ++name) {
    const std::string from = directory + "/" + *name;
    if (!path_exists(from)) continue;
    if (::rename(from.c_str(), (to + "/" + *name).c_str()) != 0) {
      return Unexpected(system_error("set aside " + from, errno));
    }
  }
  ::unlink(mark_path(directory).c_str());
  MOORED_CHECK(remove_oldest(directory));
  return to;
}

// What is known before the file is opened: asked for at run time, or gone although it was there.
std::optional<std::string> find_loss(const StoreOptions& options,
                                     const std::optional<Anchor>& anchor) {
  if (const auto mark = read_file(mark_path(options.directory), 4096)) return *mark;
  struct ::stat found {};
  const std::string path = options.directory + "/moored.db";
  const bool absent = ::stat(path.c_str(), &found) != 0;
  if (!anchor || (!absent && found.st_size > 0)) return std::nullopt;
  return absent ? "the database is missing" : "the database is empty";
}

// A database from before the last commits: an older copy, or one without its log.
std::optional<std::string> find_gap(const Store& opened, const std::optional<Anchor>& anchor) {
  if (!anchor || opened.audit_end().rows >= anchor->audit.seq) return std::nullopt;
  return "the database ends at audit row " + std::to_string(opened.audit_end().rows) +
         " although row " + std::to_string(anchor->audit.seq) + " was written";
}

// What a sound database lacks; a note about a backup goes with the anchor that is written next.
std::optional<StoreLoss> find_origin(const std::string& directory, const Store& opened,
                                     const std::optional<Anchor>& anchor) {
  StoreLoss loss;
  if (const auto origin = read_file(restored_path(directory), 4096)) {
    loss.reason = *origin;
    loss.restored = true;
    return loss;
  }
  const auto gap = find_gap(opened, anchor);
  if (!gap) return std::nullopt;
  loss.reason = *gap;
  return loss;
}

// Like Store::open; the reason is given when the database is damaged, and only then.
Result<std::unique_ptr<Store>> try_open(const StoreOptions& options,
                                        std::optional<std::string>& damage) {
  auto opened = Store::open(options);
  if (!opened && opened.error().reason == "StoreCorrupt") damage = opened.error().text();
  return opened;
}

}  // namespace

Result<RescuedStore> open_or_rebuild(StoreOptions options, Now now) {
  MOORED_CHECK(make_directories(options.directory, 0700));
  const auto anchor = store::read_anchor(options.directory);
  if (anchor) options.given_version = std::max(options.given_version, anchor->resource_version);
  RescuedStore out;
  std::optional<std::string> damage = find_loss(options, anchor);
  if (!damage) {
    auto opened = try_open(options, damage);
    if (!opened && !damage) return Unexpected(std::move(opened).error());
    if (opened) {
      out.store = std::move(*opened);
      out.loss = find_origin(options.directory, *out.store, anchor);
    }
  }
  if (damage) {
    StoreLoss loss;
    loss.reason = *damage;
    // Only one daemon may move the files: the lock of the store is taken by Store::open again.
    MOORED_TRY(loss.set_aside, set_aside(options.directory, *damage, now));
    if (anchor && options.store_id.empty()) options.store_id = anchor->store_id;
    MOORED_TRY(out.store, Store::open(options));
    out.loss = std::move(loss);
  }
  if (out.loss && anchor) {
    out.loss->audit_seq = anchor->audit.seq;
    out.loss->audit_hash = anchor->audit.hash;
  }
  return out;
}

Status mark_damaged(const std::string& directory, const std::string& reason) {
  return write_file_durably(mark_path(directory), reason);
}

Status mark_restored(const std::string& directory, const std::string& origin) {
  return write_file_durably(restored_path(directory), origin);
}

void forget_restored(const std::string& directory) {
  ::unlink(restored_path(directory).c_str());
}

std::string describe_loss(const StoreLoss& loss) {
  if (loss.restored) return loss.reason;
  if (loss.audit_seq == 0) return "this chain follows a lost one of unknown length";
  const std::string last =
      "row " + std::to_string(loss.audit_seq) + " (hash " + loss.audit_hash + ")";
  if (loss.set_aside.empty()) return "rows up to " + last + " are lost before this one";
  return "this chain follows a lost one that ended at " + last;
}

}  // namespace moored
