#include "reconciler/store/backup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "reconciler/store/database.hpp"
#include "reconciler/store/revisions.hpp"
#include "reconciler/store/rescue.hpp"
#include "reconciler/store/verify.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

using namespace store;

namespace {

constexpr std::int64_t kBackupVersion = 1;
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30U;
// Of the state directory, beside the archived rows below store/audit.
constexpr const char* kKeptFiles[] = {"store/seal.key", "instance", "ranges", "network/addresses"};
constexpr std::string_view kArchive = "store/audit/";
constexpr std::string_view kConfiguration = "moored.yaml";

std::string make_date(Now now) {
  std::string date = format_time(now.wall);
  std::erase_if(date, [](char letter) { return letter == '-' || letter == ':'; });
  return date;
}

// The path of a kept file on a machine.
std::string place_of(const BackupPlaces& places, const std::string& name) {
  if (name == kConfiguration) return places.configuration;
  return places.state_dir + "/" + name;
}

// Names from a backup name files: only those that write_backup gives are taken.
bool is_kept_name(const std::string& name) {
  for (const char* kept : kKeptFiles) {
    if (name == kept) return true;
  }
  if (name == kConfiguration) return true;
  const bool archived = name.rfind(kArchive, 0) == 0 && name.size() > kArchive.size();
  return archived && name.find_first_not_of("0123456789-.jsonl", kArchive.size()) ==
                         std::string::npos && name.find("..") == std::string::npos;
}

// Removes the half-written file unless it was finished.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (path_.empty()) return;
    for (const char* suffix : {"", "-journal", "-wal", "-shm"}) ::unlink((path_ + suffix).c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void finish() { path_.clear(); }

 private:
  std::string path_;
};

Status sync_path(const std::string& path, int flags) {
  const UniqueFd file(::open(path.c_str(), flags | O_CLOEXEC));
  if (!file || ::fsync(file.get()) != 0) return Unexpected(system_error(path, errno));
  return {};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A copy of the database into a file that nobody else may read, with its log taken in.
Result<Connection> copy_database(const std::string& from, const std::string& to) {
  Connection::Options source;
  source.path = from;
  MOORED_TRY(auto original, Connection::open(source));
  MOORED_TRY(const auto owner, original.read_integer("PRAGMA application_id"));
  if (owner != kApplicationId) return fail(Code::conflict, from + " holds no store");
  const UniqueFd file(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Unexpected(system_error(to, errno));
  Connection::Options target;
  target.path = to;
  target.writable = true;
  MOORED_TRY(auto copy, Connection::open(target));
  MOORED_CHECK(original.copy_into(copy));
  MOORED_CHECK(copy.run("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL"));
  return copy;
}

Status keep_file(Connection& backup, const std::string& name, const std::string& path) {
  auto content = read_file(path, kMaxFileBytes);
  if (!content && content.error().code == Code::not_found) return {};
  if (!content) return Unexpected(std::move(content).error());
  const std::string digest = sha256_hex(*content);
  return backup.query(
      "INSERT INTO backup_file (name, digest, content) VALUES (?,?,?)",
      {std::string_view(name), std::string_view(digest), Blob{*content}});
}

// Rows that were archived after the copy are in both, as after a crash.
Status keep_files(Connection& backup, const BackupPlaces& from) {
  for (const char* name : kKeptFiles) MOORED_CHECK(keep_file(backup, name, place_of(from, name)));
  MOORED_CHECK(keep_file(backup, std::string(kConfiguration), from.configuration));
  const auto archived = list_directory(from.state_dir + "/" + std::string(kArchive));
  if (!archived) return {};
  for (const auto& name : *archived) {
    const std::string kept = std::string(kArchive) + name;
    if (is_kept_name(kept)) MOORED_CHECK(keep_file(backup, kept, place_of(from, kept)));
  }
  return {};
}

Status fill_backup(Connection& backup, const BackupPlaces& from, Now now) {
  MOORED_CHECK(backup.run("CREATE TABLE backup_file (name TEXT PRIMARY KEY, "
                          "digest TEXT NOT NULL, content BLOB NOT NULL) STRICT"));
  MOORED_CHECK(write_meta(backup, "backup_version", std::to_string(kBackupVersion)));
  MOORED_CHECK(write_meta(backup, "backup_time", format_time(now.wall)));
  return keep_files(backup, from);
}

using EachFile = std::function<Status(const std::string& name, const std::string& content)>;

// Every kept file with a digest that fits.
Status visit_files(Connection& backup, const EachFile& visit) {
  return backup.query(
      "SELECT name, digest, content FROM backup_file ORDER BY name", {},
      [&](const Row& row) -> Status {
        const std::string name = row.text(0);
        const std::string content = row.text(2);
        if (!is_kept_name(name)) return fail(Code::corrupt, "the backup holds a foreign " + name);
        if (sha256_hex(content) != row.text(1)) {
          return fail(Code::corrupt, "the backup's " + name + " contradicts its digest");
        }
        return visit(name, content);
      });
}

// A backup is checked with its own archive, which is laid out in a directory for that.
Result<AuditVerdict> check_chain(Connection& backup, const std::string& scratch) {
  const EachFile lay_out = [&](const std::string& name, const std::string& content) -> Status {
    if (name.rfind(kArchive, 0) != 0) return {};
    return write_file(scratch + "/" + name.substr(kArchive.size()), content, true);
  };
  MOORED_CHECK(visit_files(backup, lay_out));
  return verify_chain(backup, scratch);
}

Status check_is_backup(Connection& backup, const std::string& file) {
  MOORED_TRY(const auto owner, backup.read_integer("PRAGMA application_id"));
  MOORED_TRY(const auto tables,
             backup.read_integer("SELECT count(*) FROM sqlite_schema WHERE name='backup_file'"));
  if (owner != kApplicationId || tables != 1) {
    return fail(Code::conflict, file + " is no backup of moored");
  }
  MOORED_TRY(const auto schema, backup.read_integer("PRAGMA user_version"));
  MOORED_TRY(const auto version, read_meta_number(backup, "backup_version", 0));
  if (schema <= kSchemaVersion && version <= kBackupVersion) return {};
  return Unexpected(Error{
      Code::conflict, file + " was written by a newer moored", "StoreNewer", {}, {}}
                        .mend("restore it with the version that wrote it, or a newer one"));
}

// Everything that a backup says of itself, once it was found to hold.
Result<BackupReport> check_backup(Connection& backup, const std::string& file,
                                  const std::string& scratch) {
  MOORED_CHECK(check_is_backup(backup, file));
  MOORED_CHECK(check_pages(backup));
  BackupReport report;
  MOORED_TRY(report.audit, check_chain(backup, scratch));
  MOORED_TRY(report.store_id, read_meta(backup, "store_id"));
  MOORED_TRY(report.taken_at, read_meta(backup, "backup_time"));
  MOORED_TRY(report.resource_version, read_meta_number(backup, "resource_version", 0));
  MOORED_TRY(const auto files, backup.read_integer("SELECT count(*) FROM backup_file"));
  report.files = static_cast<std::size_t>(files);
  return report;
}

Result<std::string> make_scratch() {
  std::string pattern = "/tmp/moored-backup-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return Unexpected(system_error(pattern, errno));
  return pattern;
}

// ---- the way back -------------------------------------------------------------------------------

// What is there goes aside as a whole. Errors: conflict (NotEmpty).
Result<std::string> clear_place(const BackupPlaces& to, bool replace, Now now) {
  const std::string store = to.state_dir + "/store";
  const auto names = list_directory(store);
  if (!names || names->empty()) return std::string();
  if (!replace) {
    return Unexpected(Error{
        Code::conflict, store + " holds a store already", "NotEmpty", {}, {}}
                          .mend("with --replace it is moved aside first"));
  }
  const std::string aside = to.state_dir + "/store.replaced-" + make_date(now);
  if (::rename(store.c_str(), aside.c_str()) != 0) return Unexpected(system_error(store, errno));
  return aside;
}

Status put_files(Connection& backup, const BackupPlaces& to, BackupReport& report) {
  return visit_files(backup, [&](const std::string& name, const std::string& content) -> Status {
    const std::string place = place_of(to, name);
    if (name == kConfiguration && path_exists(place)) {
      report.configuration_kept = true;
      return {};
    }
    MOORED_CHECK(make_directories(directory_of(place), name == kConfiguration ? 0755 : 0700));
    const bool open = name == kConfiguration || name == "instance" || name == "ranges";
    return write_file_durably(place, content, open ? 0644 : 0600);
  });
}

// The database comes last and by rename: until then there is no store to be opened.
Status put_database(const std::string& file, const std::string& store) {
  const std::string fresh = store + "/moored.db.restored";
  Unfinished unfinished(fresh);
  {
    MOORED_TRY(auto copy, copy_database(file, fresh));
    MOORED_CHECK(copy.run("DROP TABLE backup_file"));
    MOORED_CHECK(copy.run("DELETE FROM meta WHERE name IN ('backup_version', 'backup_time')"));
    // Readers may hold versions that were given out after the backup was taken.
    MOORED_CHECK(copy.run(
        "INSERT OR REPLACE INTO meta (name, value) SELECT n.column1, CAST(m.value AS INTEGER) + "
        "1000000 FROM meta m, (VALUES ('compacted'), ('compacted_events'), ('resource_version')) n "
        "WHERE m.name = 'resource_version'"));
    MOORED_CHECK(copy.run("VACUUM"));
  }
  MOORED_CHECK(sync_path(fresh, O_RDONLY));
  if (::rename(fresh.c_str(), (store + "/moored.db").c_str()) != 0) {
    return Unexpected(system_error(fresh, errno));
  }
  unfinished.finish();
  return sync_path(store, O_RDONLY | O_DIRECTORY);
}

}  // namespace

Result<BackupReport> write_backup(const BackupPlaces& from, const std::string& file, Now now) {
  if (path_exists(file)) {
    return Unexpected(Error{Code::conflict, file + " exists", "Exists", {}, {}}.mend(
        "name a new file; backups are not overwritten"));
  }
  const std::string half = file + ".half";
  ::unlink(half.c_str());
  Unfinished unfinished(half);
  BackupReport report;
  {
    MOORED_TRY(auto backup, copy_database(from.state_dir + "/store/moored.db", half));
    MOORED_CHECK(fill_backup(backup, from, now));
  }
  MOORED_CHECK(sync_path(half, O_RDONLY));
  // What cannot be put back is found now and not when it is needed.
  MOORED_TRY(report, read_backup(half));
  if (::renameat2(AT_FDCWD, half.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) != 0) {
    return Unexpected(system_error(file, errno));
  }
  unfinished.finish();
  MOORED_CHECK(sync_path(directory_of(file), O_RDONLY | O_DIRECTORY));
  return report;
}

Result<BackupReport> read_backup(const std::string& file) {
  if (!path_exists(file)) return fail(Code::not_found, "there is no " + file);
  Connection::Options how;
  how.path = file;
  MOORED_TRY(auto backup, Connection::open(how));
  MOORED_TRY(const auto scratch, make_scratch());
  auto report = check_backup(backup, file, scratch);
  MOORED_CHECK(remove_tree(scratch));
  return report;
}

Result<BackupReport> restore_backup(const std::string& file, const BackupPlaces& to, bool replace,
                                    Now now) {
  MOORED_TRY(auto report, read_backup(file));
  MOORED_CHECK(make_directories(to.state_dir, 0711));
  auto lock = lock_file(to.state_dir + "/lock");
  if (!lock) {
    return Unexpected(std::move(lock).error().context("a daemon runs on " + to.state_dir)
                          .mend("stop it; pods go on running"));
  }
  MOORED_TRY(report.set_aside, clear_place(to, replace, now));
  const std::string store = to.state_dir + "/store";
  MOORED_CHECK(make_directories(store, 0700));
  Connection::Options how;
  how.path = file;
  {
    MOORED_TRY(auto backup, Connection::open(how));
    MOORED_CHECK(put_files(backup, to, report));
  }
  MOORED_CHECK(mark_restored(store, "restored from a backup of " + report.taken_at +
                                        " that ends at audit row " +
                                        std::to_string(report.audit.rows)));
  MOORED_CHECK(put_database(file, store));
  return report;
}

}  // namespace moored
