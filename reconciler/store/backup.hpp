// A copy of everything that Git does not hold, in one file, and the way back.
#pragma once

#include <string>

#include "reconciler/store/types.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

namespace moored {

// What a backup is of and where it is put back to.
struct BackupPlaces {
  std::string state_dir = "/var/lib/moored";
  std::string configuration = "/etc/moored/moored.yaml";  // an absent one is left out
};

// What a backup holds, as it says of itself.
struct BackupReport {
  std::string store_id;
  std::string taken_at;  // RFC 3339
  std::int64_t resource_version = 0;
  AuditVerdict audit;
  std::size_t files = 0;  // beside the database: key, addresses, archived audit rows, configuration
  bool configuration_kept = false;  // restore: there was one already, which stays
  std::string set_aside;            // restore: where the store that was there lies now
};

// Copies database, key, archived audit rows, instance, address ranges, addresses and configuration
// into a new file of mode 0600, also beside a running daemon; what it holds is of one moment and on
// the disk when this returns. Without images, mirrors and volumes. The file opens every Secret.
// Errors: conflict (the file exists), not_found (no store), corrupt (the store is damaged), those
// of the disk; then there is no file.
Result<BackupReport> write_backup(const BackupPlaces& from, const std::string& file, Now now);

// What a backup says of itself, checked: pages, digests of its files, and the whole audit chain.
// Errors: not_found, corrupt, conflict (StoreNewer, or no backup at all).
Result<BackupReport> read_backup(const std::string& file);

// Puts a backup back after checking it. replace: a store that is there is moved into a directory
// with the date beside it; without it a state directory that holds one is refused. The next start
// records where the state came from, and takes over pods that run and are not in it.
// Errors: those of read_backup; conflict (NotEmpty, or a daemon runs on the directory).
Result<BackupReport> restore_backup(const std::string& file, const BackupPlaces& to, bool replace,
                                    Now now);

}  // namespace moored
