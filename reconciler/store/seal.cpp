#include "reconciler/store/seal.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <memory>

#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::store {
namespace {

// The sizes that AES-GCM is specified for; OpenSSL would accept others in silence.
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kDigestDigits = 16;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text, std::size_t offset = 0) {
  return reinterpret_cast<unsigned char*>(text.data() + offset);
}

// One error for a wrong key, a wrong context and a flipped bit: GCM cannot tell them apart.
Unexpected unsealable() {
  return Unexpected(
      Error{Code::corrupt, "a sealed value cannot be opened", "SealBroken", {}, {}}.mend(
          "put back the key file that belongs to this database"));
}

// Refused instead of mended: once others could read the key, narrowing the mode brings no secret
// back.
Status check_mode(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Unexpected(system_error(path, errno));
  if ((status.st_mode & 077U) != 0) {
    return Unexpected(
        Error{Code::denied, path + " can be read by others", "KeyExposed", {}, {}}.mend(
            "chmod 0600 " + path + ", then renew the secrets it sealed"));
  }
  return {};
}

Result<std::string> make_key(const std::string& path) {
  std::string key(Sealer::kKeyBytes, '\0');
  if (RAND_bytes(bytes_of(key), static_cast<int>(key.size())) != 1) {
    return fail(Code::internal, "no randomness for a sealing key");
  }
  MOORED_CHECK(write_file_durably(path, key, 0600));
  return key;
}

}  // namespace

// One byte more than a key is read, so that a longer file is noticed.
Result<Sealer> Sealer::open(const std::string& key_path, bool create) {
  if (create && !path_exists(key_path)) {
    MOORED_TRY(auto fresh, make_key(key_path));
    return Sealer(std::move(fresh));
  }
  MOORED_CHECK(check_mode(key_path));
  MOORED_TRY(auto key, read_file(key_path, kKeyBytes + 1));
  if (key.size() != kKeyBytes) return fail(Code::corrupt, key_path + " is not a sealing key");
  return Sealer(std::move(key));
}

// Nonce, ciphertext and tag in one text. The nonce is random; a store writes far fewer secrets than
// the 2^32 for which that is safe. The update without output takes the context.
Result<std::string> Sealer::seal(std::string_view clear, std::string_view context) const {
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::string out(kNonceBytes + clear.size() + kTagBytes, '\0');
  int written = 0;
  const bool sealed =
      cipher && RAND_bytes(bytes_of(out), kNonceBytes) == 1 &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(sealing_key()),
                         bytes_of(out)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &written, bytes_of(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), bytes_of(out, kNonceBytes), &written, bytes_of(clear),
                        static_cast<int>(clear.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), bytes_of(out, kNonceBytes + clear.size()), &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                          bytes_of(out, kNonceBytes + clear.size())) == 1;
  if (!sealed) return fail(Code::internal, "a secret could not be sealed");
  return out;
}

Result<std::string> Sealer::unseal(std::string_view sealed, std::string_view context) const {
  if (sealed.size() < kNonceBytes + kTagBytes) return unsealable();
  const std::size_t size = sealed.size() - kNonceBytes - kTagBytes;
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::string out(size, '\0');
  std::string tag(sealed.substr(kNonceBytes + size));
  unsigned char rest[kTagBytes];
  int written = 0;
  const bool opened =
      cipher &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(sealing_key()),
                         bytes_of(sealed)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &written, bytes_of(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), bytes_of(out), &written, bytes_of(sealed.substr(kNonceBytes)),
                        static_cast<int>(size)) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), rest, &written) == 1;
  if (!opened) return unsealable();
  return out;
}

std::string Sealer::digest(std::string_view secret) const {
  return hmac_sha256_hex(digest_key(), secret).substr(0, kDigestDigits);
}

}  // namespace moored::store
