// One line for the person on call. Upper layers log, lower layers return errors.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace moored {

enum class LogLevel { debug, info, warning, error };

// One named value of a log line.
struct LogField {
  std::string_view name;
  std::string value;
};

// Writes "level message name=value …" to standard error, with journal priorities under systemd.
// Thread safe. Foreign text in values is escaped and cut at 1 KiB.
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
// Lines below this level are dropped. Default: info.
void set_log_level(LogLevel level);
// Makes foreign text safe for a line: control characters escaped, cut with "…" at limit bytes.
std::string escape_text(std::string_view text, std::size_t limit = 1024);

}  // namespace moored
