package io.llamafu.llamacpp;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class NativePlatformTest {

    @ParameterizedTest
    @CsvSource({
        "Linux, amd64, linux-x86_64, libllamafu.so",
        "Linux, x86_64, linux-x86_64, libllamafu.so",
        "Linux, aarch64, linux-aarch64, libllamafu.so",
        "Mac OS X, aarch64, osx-aarch64, libllamafu.dylib",
        "Mac OS X, x86_64, osx-x86_64, libllamafu.dylib",
        "Darwin, arm64, osx-aarch64, libllamafu.dylib",
        "Windows 11, amd64, windows-x86_64, llamafu.dll",
        "FreeBSD, amd64, freebsd-x86_64, libllamafu.so",
        "Linux, riscv64, linux-riscv64, libllamafu.so",
    })
    void everySpellingOfAPlatformHasOneName(String os, String architecture, String name, String fileName) {
        NativePlatform platform = NativePlatform.of(os, architecture);

        assertThat(platform).hasToString(name);
        assertThat(platform.resourceFolder()).isEqualTo("io/llamafu/native/" + name);
        assertThat(platform.libraryFileName()).isEqualTo(fileName);
    }
}
