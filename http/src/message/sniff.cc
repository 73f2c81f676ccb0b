#include "weft/http/sniff.h"

#include <cstddef>
#include <cstdint>

namespace weft::http {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::size_t kSample = 512;

// A pattern of bytes. '\0' in the mask ignores the byte, and an empty mask compares all bytes.
struct Signature {
  std::string_view pattern;
  std::string_view mask;
  std::string_view type;
};

// The patterns of sections 6.1 to 6.4 of the standard, in its order.
constexpr Signature kSignatures[] = {
    {"%PDF-"sv, ""sv, "application/pdf"sv},
    {"%!PS-Adobe-"sv, ""sv, "application/postscript"sv},
    {"\xFE\xFF\0\0"sv, "\xFF\xFF\0\0"sv, "text/plain; charset=utf-16be"sv},
    {"\xFF\xFE\0\0"sv, "\xFF\xFF\0\0"sv, "text/plain; charset=utf-16le"sv},
    {"\xEF\xBB\xBF\0"sv, "\xFF\xFF\xFF\0"sv, "text/plain; charset=utf-8"sv},
    {"\0\0\x01\0"sv, ""sv, "image/x-icon"sv},
    {"\0\0\x02\0"sv, ""sv, "image/x-icon"sv},
    {"BM"sv, ""sv, "image/bmp"sv},
    {"GIF87a"sv, ""sv, "image/gif"sv},
    {"GIF89a"sv, ""sv, "image/gif"sv},
    {"RIFF\0\0\0\0WEBPVP"sv, "\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF"sv, "image/webp"sv},
    {"\x89PNG\r\n\x1A\n"sv, ""sv, "image/png"sv},
    {"\xFF\xD8\xFF"sv, ""sv, "image/jpeg"sv},
    {"FORM\0\0\0\0AIFF"sv, "\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFF"sv, "audio/aiff"sv},
    {"ID3"sv, ""sv, "audio/mpeg"sv},
    {"OggS\0"sv, ""sv, "application/ogg"sv},
    {"MThd\0\0\0\x06"sv, ""sv, "audio/midi"sv},
    {"RIFF\0\0\0\0AVI "sv, "\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFF"sv, "video/avi"sv},
    {"RIFF\0\0\0\0WAVE"sv, "\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFF"sv, "audio/wave"sv},
    {"\x1A\x45\xDF\xA3"sv, ""sv, "video/webm"sv},
    {"\0\x01\0\0"sv, ""sv, "font/ttf"sv},
    {"OTTO"sv, ""sv, "font/otf"sv},
    {"ttcf"sv, ""sv, "font/collection"sv},
    {"wOFF"sv, ""sv, "font/woff"sv},
    {"wOF2"sv, ""sv, "font/woff2"sv},
    {"\x1F\x8B\x08"sv, ""sv, "application/x-gzip"sv},
    {"PK\x03\x04"sv, ""sv, "application/zip"sv},
    {"Rar!\x1A\x07\0"sv, ""sv, "application/x-rar-compressed"sv},
    {"Rar!\x1A\x07\x01\0"sv, ""sv, "application/x-rar-compressed"sv},
    {"\0asm"sv, ""sv, "application/wasm"sv},
};

constexpr std::string_view kHtmlTags[] = {
    "<!DOCTYPE HTML"sv, "<HTML"sv, "<HEAD"sv,  "<SCRIPT"sv, "<IFRAME"sv, "<H1"sv,   "<DIV"sv, "<FONT"sv,
    "<TABLE"sv,         "<A"sv,    "<STYLE"sv, "<TITLE"sv,  "<B"sv,      "<BODY"sv, "<BR"sv,  "<P"sv,
    "<!--"sv,
};

bool matches(std::string_view data, const Signature& signature) {
  if (data.size() < signature.pattern.size()) return false;
  for (std::size_t i = 0; i < signature.pattern.size(); ++i) {
    if (!signature.mask.empty() && signature.mask[i] == '\0') continue;
    if (data[i] != signature.pattern[i]) return false;
  }
  return true;
}

// Whether the text begins with the tag, in any case, and a space or '>' follows.
bool matches_tag(std::string_view data, std::string_view tag) {
  if (data.size() <= tag.size()) return false;
  for (std::size_t i = 0; i < tag.size(); ++i) {
    const bool letter = tag[i] >= 'A' && tag[i] <= 'Z';
    if ((letter ? static_cast<char>(data[i] & 0xDF) : data[i]) != tag[i]) return false;
  }
  return data[tag.size()] == ' ' || data[tag.size()] == '>';
}

// Section 6.2.1 of the standard: an "ftyp" box with a brand "mp4?".
bool is_mp4(std::string_view data) {
  if (data.size() < 12 || data.substr(4, 4) != "ftyp") return false;
  std::uint32_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(data[i]);
  if (data.size() < size || size % 4 != 0) return false;
  for (std::size_t i = 8; i < size; i += 4) {
    if (i != 12 && data.substr(i, 3) == "mp4") return true;
  }
  return false;
}

bool is_text(std::string_view data) {
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    const bool binary =
        byte <= 0x08 || byte == 0x0B || (byte >= 0x0E && byte <= 0x1A) || (byte >= 0x1C && byte <= 0x1F);
    if (binary) return false;
  }
  return true;
}

}  // namespace

std::string_view detect_content_type(std::string_view data) noexcept {
  data = data.substr(0, kSample);
  const std::size_t start = data.find_first_not_of("\t\n\f\r ");
  const std::string_view content = start == std::string_view::npos ? std::string_view() : data.substr(start);
  if (content.starts_with('<')) {
    for (const std::string_view tag : kHtmlTags) {
      if (matches_tag(content, tag)) return "text/html; charset=utf-8";
    }
    if (content.starts_with("<?xml")) return "text/xml; charset=utf-8";
  }
  for (const Signature& signature : kSignatures) {
    if (matches(data, signature)) return signature.type;
  }
  if (is_mp4(data)) return "video/mp4";
  // Embedded OpenType has its mark after 34 bytes.
  if (data.size() >= 36 && data.find_first_not_of('\0') == 34 && data.substr(34, 2) == "LP") {
    return "application/vnd.ms-fontobject";
  }
  return is_text(content) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

}  // namespace weft::http
