// The one error type: a closed code, a reason word, a sentence, a place and a fix.
#pragma once

#include <string>
#include <string_view>
#include <vector>


namespace moored {

// What kind of failure it is; a table maps each to retry, HTTP status, exit code and log level.
enum class Code {
  invalid,      // the input is wrong and will stay wrong
  not_found,    // the thing named does not exist
  conflict,     // it exists, in a state that does not allow this
  denied,       // a policy or a right is missing
  unavailable,  // the other side does not answer now; try again
  timeout,      // the deadline passed
  exhausted,    // a named limit was reached
  corrupt,      // stored or received bytes contradict themselves
  internal,     // our own fault
};

// Where in the input an error is. Line and column count from 1; 0 means unknown.
struct Place {
  std::string file;   // path inside the source, as written there
  int line = 0;
  int column = 0;
  std::string field;  // field path such as spec.template.spec.containers[0].image
  bool operator==(const Place&) const = default;
};

// One failure, worded for the person who has to act on it.
struct Error {
  Code code = Code::internal;
  std::string message;  // one sentence, without place and without fix
  std::string reason;   // one CamelCase word, such as UnknownField; empty: the code's own word
  Place place;
  std::string fix;      // what to do about it; empty when nothing general can be said

  // Puts what was being attempted in front of the sentence: "context: message".
  Error&& context(std::string_view what) &&;
  // Names the reason word, the place or the fix while the error is being built.
  Error&& because(std::string_view word) &&;
  Error&& at(Place where) &&;
  Error&& mend(std::string_view how) &&;
  // "file:line:column: field: message (fix)" with the unknown parts left out.
  std::string text() const;
};

// What a code means to each of the outsides.
struct CodeTraits {
  Code code;
  std::string_view name;
  bool retry;             // trying again without a change may succeed
  int http_status;
  std::string_view reason;  // Kubernetes' reason word
  int exit_code;
};

// The row of a code. Total: every code has a row.
const CodeTraits& traits(Code code);

// Errors and warnings of one commit, in document order, cut at kMaxDiagnostics each.
class Diagnostics {
 public:
  static constexpr std::size_t kMaxDiagnostics = 100;

  void add_error(Error error);
  void add_warning(Error warning);
  // Appends everything of the other, in order.
  void take(Diagnostics other);

  bool ok() const { return error_count_ == 0; }
  const std::vector<Error>& errors() const { return errors_; }
  const std::vector<Error>& warnings() const { return warnings_; }
  std::size_t error_count() const { return error_count_; }      // counts the cut ones too
  std::size_t warning_count() const { return warning_count_; }  // counts the cut ones too

 private:
  std::vector<Error> errors_;
  std::vector<Error> warnings_;
  std::size_t error_count_ = 0;
  std::size_t warning_count_ = 0;
};

// The error of a failed system call: "what: No such file or directory".
// errno decides the code (ENOENT: not_found, EACCES and EPERM: denied, ENOSPC: exhausted, …).
Error system_error(std::string_view what, int error_number);

}  // namespace moored
