// Checks that texts get the same tokens as with llama.cpp's own regular expressions, for each named pre-tokenizer, and
// that no run of characters overflows the stack or takes more than linear time.
//   split_parity NAME...    prints PASSED at the end

#include "split_pattern.h"

#include "gguf.h"
#include "llama.h"

#include <pthread.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

extern std::vector<size_t> (*unicode_regex_split_hook)(
    const std::u32string & text, const std::u32string & regex, const std::vector<size_t> & offsets);

namespace {

constexpr size_t run_length = 64000;
constexpr size_t small_stack = 256 * 1024;
constexpr int long_texts = 25; ///< each of twelve random ones: to compile a std::regex takes longer than to use it
constexpr int joined = 12;

std::string utf8(char32_t c) {
    if (c < 0x80) {
        return { static_cast<char>(c) };
    }
    if (c < 0x800) {
        return { static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F)) };
    }
    if (c < 0x10000) {
        return { static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F)) };
    }
    return { static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
             static_cast<char>(0x80 | (c & 0x3F)) };
}

/// A byte as written in GPT-2's vocabularies.
std::string written(int byte) {
    static const std::vector<std::string> all = [] {
        std::vector<std::string> texts;
        char32_t other = 256;
        for (int b = 0; b < 256; b++) {
            const bool plain = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            texts.push_back(utf8(plain ? static_cast<char32_t>(b) : other++));
        }
        return texts;
    }();
    return all[static_cast<size_t>(byte)];
}

/// A vocabulary of all bytes and of many pairs in random order, so that a different split gives different tokens. Raw
/// bytes for tokenizers that do not write them in GPT-2's way.
void write_vocabulary(const std::string & path, const std::string & pre_tokenizer, const std::string & model, bool raw) {
    std::mt19937 random(7);
    std::vector<std::string> tokens;
    std::set<std::string> known;
    std::vector<std::string> merges;
    const auto add = [&](const std::string & token) {
        const bool is_new = known.insert(token).second;
        if (is_new) {
            tokens.push_back(token);
        }
        return is_new;
    };
    add("<|end|>");
    for (int byte = 0; byte < 256; byte++) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "<0x%02X>", byte);
        add(raw ? std::string(hex) : written(byte));
    }
    for (int c = 0x20; raw && c < 0x7F; c++) {
        add({ static_cast<char>(c) });
    }
    std::vector<int> bytes;
    for (int byte = raw ? 0x21 : 9; byte < (raw ? 0x7F : 256); byte++) {
        bytes.push_back(byte);
    }
    const auto any = [&] {
        const int byte = bytes[random() % bytes.size()];
        return raw ? std::string(1, static_cast<char>(byte)) : written(byte);
    };
    for (int i = 0; i < 12000; i++) {
        const bool ascii = i % 3 != 0 && !raw;
        const std::string left = ascii ? written(static_cast<int>(0x20 + random() % 0x5F)) : any();
        const std::string right = ascii ? written(static_cast<int>(0x20 + random() % 0x5F)) : any();
        if (add(left + right)) {
            merges.push_back(left + " " + right);
        }
    }
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), gguf_free);
    const auto strings = [&](const char * key, const std::vector<std::string> & values) {
        std::vector<const char *> pointers;
        for (const std::string & value : values) {
            pointers.push_back(value.c_str());
        }
        gguf_set_arr_str(file.get(), key, pointers.data(), pointers.size());
    };
    std::vector<int32_t> types(tokens.size(), 1);
    types[0] = 3;
    for (size_t i = 0; raw && i < 256; i++) {
        types[1 + i] = 6;
    }
    gguf_set_val_str(file.get(), "general.architecture", "llama");
    gguf_set_val_str(file.get(), "tokenizer.ggml.model", model.c_str());
    gguf_set_val_str(file.get(), "tokenizer.ggml.pre", pre_tokenizer.c_str());
    strings("tokenizer.ggml.tokens", tokens);
    strings("tokenizer.ggml.merges", merges);
    gguf_set_arr_data(file.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
    for (const char * special : { "bos", "eos", "unknown" }) {
        gguf_set_val_u32(file.get(), ("tokenizer.ggml." + std::string(special) + "_token_id").c_str(), 0);
    }
    if (!gguf_write_to_file(file.get(), path.c_str(), true)) {
        throw std::runtime_error("cannot write " + path);
    }
}

using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;

Model load(const std::string & path) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    Model model(llama_model_load_from_file(path.c_str(), params), llama_model_free);
    if (model == nullptr) {
        throw std::runtime_error("llama.cpp refuses " + path);
    }
    return model;
}

std::vector<llama_token> tokenize(const Model & model, const std::string & text) {
    const llama_vocab * vocab = llama_model_get_vocab(model.get());
    std::vector<llama_token> tokens(4 * text.size() + 2);
    const int32_t count = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
        static_cast<int32_t>(tokens.size()), false, true);
    if (count < 0) {
        throw std::runtime_error("more tokens than bytes");
    }
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

std::string text_of(const Model & model, const std::vector<llama_token> & tokens) {
    std::string text;
    for (const llama_token token : tokens) {
        char piece[64];
        const int32_t size = llama_token_to_piece(llama_model_get_vocab(model.get()), token, piece, sizeof piece, 0, true);
        text.append(piece, static_cast<size_t>(size));
    }
    return text;
}

void on_a_small_stack(const std::function<void()> & work) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, small_stack);
    pthread_t thread;
    const auto run = [](void * argument) -> void * {
        (*static_cast<const std::function<void()> *>(argument))();
        return nullptr;
    };
    if (pthread_create(&thread, &attributes, run, const_cast<std::function<void()> *>(&work)) != 0) {
        throw std::runtime_error("cannot start a thread");
    }
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
}

/// Characters of every class that pre-tokenizers distinguish.
const std::vector<std::u32string> & alphabets() {
    static const std::vector<std::u32string> all = {
        U"abcxyz", U"ABCXYZ", U"sStTmMdDlLvVeErR'", U"0123456789", U" ", U"  \t\u00a0\u3000\u2003", U"\n\r", U"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~",
        U"äöüßéñçÀÉ", U"αβγΔΩ", U"жщыЖЩ", U"漢字仮名一龥", U"ひらカタ", U"한국어가힣ㄱ", U"อักษรไทย", U"हिन्दी", U"العربية،۔", U"\u0301\u0308\u0327",
        U"😀🎉👍🏽", U"…。、！？“”‘’—", U"²½Ⅷ٣৪", U"€£+<=>^`|~", U"\u200b\u200d\ufeff", U"ǅǈʰˢªº",
    };
    return all;
}

std::string random_text(std::mt19937 & random) {
    std::string text;
    const size_t runs = 1 + random() % 14;
    for (size_t i = 0; i < runs; i++) {
        const std::u32string & alphabet = alphabets()[random() % alphabets().size()];
        const size_t length = random() % 8 == 0 ? random() % 40 : 1 + random() % 4;
        for (size_t j = 0; j < length; j++) {
            text += utf8(alphabet[random() % alphabet.size()]);
        }
    }
    return text;
}

std::vector<std::string> ordinary_texts() {
    std::vector<std::string> texts = {
        "Hello, World! It's 7:30 PM; we'll pay $1,234.56 (incl. 19% VAT) -- they've said so.\n\nDon't you?\tNo.",
        "Größere Übungen: 12345678 Äpfel, naïve café, l'été, Ångström, œuvre, ½ Liter, x² + y² = z².",
        "Широкая электрификация южных губерний. Ελληνικά γράμματα. שלום עולם. مرحبا بالعالم، كيف الحال؟",
        "漢字とひらがなとカタカナ。中文句子，没有空格！한국어 문장도 있습니다. ภาษาไทยไม่มีช่องว่าง हिन्दी में लिखा हुआ",
        "def f(x):\n    return {k: v for k, v in x.items() if k != 'y'}  # comment\n\n\n\tfor (int i=0; i<10; ++i) { a[i] += 0xFF; }\r\n",
        "👍🏽 emoji 👨‍👩‍👧 and combining e\u0301 a\u0308\u0327 marks; tabs\t\tand   blanks    ", "<sentinel:12> IMGIMGABZ I'LL we'VE you'Re HTTPServer camelCaseID",
        "   leading", "trailing   ", "\n", " ", "a", "1", "'s", "''s", "x\u00a0y\u3000z\u2028w",
    };
    std::mt19937 random(11);
    for (int i = 0; i < long_texts; i++) {
        std::string text;
        for (int j = 0; j < joined; j++) {
            text += random_text(random);
        }
        texts.push_back(text);
    }
    return texts;
}

std::vector<std::string> runs() {
    std::vector<std::string> texts;
    const auto repeated = [](const std::u32string & unit, const std::string & end) {
        std::string text;
        for (size_t i = 0; i < run_length; i++) {
            text += utf8(unit[i % unit.size()]);
        }
        return text + end;
    };
    for (const std::u32string & alphabet : alphabets()) {
        texts.push_back(repeated(alphabet.substr(0, 1), ""));
        texts.push_back(repeated(alphabet, "\u0e01"));
    }
    texts.push_back(repeated(U"a ", ""));
    texts.push_back(repeated(U"漢 ", ""));
    return texts;
}

bool check(const std::string & folder, const std::string & name) {
    const bool raw = name == "gemma4" || name == "granite-embed-multi-311m" || name == "sarvam-moe" || name == "whitespace";
    const std::string path = folder + "/" + name + ".gguf";
    const std::string model_name = name == "gemma4" || name == "whitespace" ? name : "gpt2";
    write_vocabulary(path, name, model_name, raw);
    const Model model = load(path);
    std::filesystem::remove(path);
    bool passed = true;
    size_t compared = 0;
    for (const std::string & text : ordinary_texts()) {
        unicode_regex_split_hook = nullptr;
        const std::vector<llama_token> expected = tokenize(model, text);
        llamafu::use_split_patterns();
        if (tokenize(model, text) != expected) {
            std::printf("%s: other tokens of: %s\n", name.c_str(), text.c_str());
            passed = false;
        }
        compared += expected.size();
    }
    double slowest = 0;
    on_a_small_stack([&] {
        for (const std::string & text : runs()) {
            const auto start = std::chrono::steady_clock::now();
            const std::vector<llama_token> tokens = tokenize(model, text);
            slowest = std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
            if (!raw && text_of(model, tokens) != text) {
                std::printf("%s: %zu bytes that begin with '%s' come back changed\n", name.c_str(), text.size(), text.substr(0, 4).c_str());
                passed = false;
            }
        }
    });
    std::printf("%-26s %zu tokens compared, slowest run %.3f s\n", name.c_str(), compared, slowest);
    return passed;
}

} // namespace

int main(int count, char ** names) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            std::fputs(text, stderr);
        }
    }, nullptr);
    const std::string folder = std::filesystem::temp_directory_path() / ("split_parity." + std::to_string(std::random_device()()));
    std::filesystem::create_directory(folder);
    bool passed = count > 1;
    try {
        for (int i = 1; i < count; i++) {
            passed &= check(folder, names[i]);
        }
    } catch (const std::exception & error) {
        std::fprintf(stderr, "%s\n", error.what());
        passed = false;
    }
    std::filesystem::remove_all(folder);
    std::puts(passed ? "PASSED" : "FAILED");
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
