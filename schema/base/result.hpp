// Result<T>: a value or an Error. The member names are those of std::expected.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "schema/base/error.hpp"

namespace moored {

// Marks the error alternative when a Result is made, as std::unexpected does.
class Unexpected {
 public:
  explicit Unexpected(Error error) : error_(std::move(error)) {}
  Error&& take() { return std::move(error_); }

 private:
  Error error_;
};

// Makes the failing alternative of any Result from the parts of an error.
inline Unexpected fail(Code code, std::string message) {
  return Unexpected(Error{code, std::move(message), {}, {}, {}});
}

// A value of T or the Error that kept it from existing.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Unexpected error) : state_(std::in_place_index<1>, error.take()) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

  Error& error() & { return *std::get_if<1>(&state_); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

  T value_or(T fallback) const& { return has_value() ? **this : std::move(fallback); }

 private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Unexpected error) : error_(error.take()) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace moored

// Statement macros: leave the function with the error, or go on with the value.
// (A statement expression would skip destructors inside braces on GCC 12.)
#define MOORED_CONCAT_(a, b) a##b
#define MOORED_CONCAT(a, b) MOORED_CONCAT_(a, b)
#define MOORED_TRY_(result, declaration, expression)                            \
  auto result = (expression);                                                   \
  if (!result) return ::moored::Unexpected(std::move(result).error());          \
  declaration = *std::move(result)
// MOORED_TRY(auto fd, open_file(path));
#define MOORED_TRY(declaration, expression) \
  MOORED_TRY_(MOORED_CONCAT(moored_result_, __LINE__), declaration, expression)
// MOORED_CHECK(write_file(path, text));
#define MOORED_CHECK(expression)                                               \
  do {                                                                         \
    auto moored_status = (expression);                                         \
    if (!moored_status) return ::moored::Unexpected(std::move(moored_status).error()); \
  } while (false)
