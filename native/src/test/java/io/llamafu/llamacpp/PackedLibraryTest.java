package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** Each library runs on a machine with only the C library, of 2018 or later, and exports only its JNI functions. */
class PackedLibraryTest {
    private static final Pattern C_LIBRARY_VERSION = Pattern.compile("@GLIBC_2\\.(\\d+)");

    static List<Path> libraries() {
        String name = NativePlatform.current().libraryFileName();
        return PackedLibraries.all().stream()
                .map(folder -> folder.resolve(name))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void onlyJniFunctionsAreVisible(Path library) throws Exception {
        List<String> symbols = Programs.run("nm", "--dynamic", "--defined-only", library.toString())
                .lines()
                .map(line -> line.substring(line.lastIndexOf(' ') + 1))
                .toList();

        assertThat(symbols)
                .contains("Java_io_llamafu_llamacpp_NativeLibrary_buildInfo")
                .allMatch(symbol -> symbol.startsWith("Java_io_llamafu_") || symbol.startsWith("JNI_On"));
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void onlyTheCLibraryIsNeeded(Path library) throws Exception {
        List<String> needed = Programs.run("env", "--unset=LD_PRELOAD", "ldd", library.toString())
                .lines()
                .map(line -> line.strip().split("[ .]", 2)[0])
                .map(name -> name.substring(name.lastIndexOf('/') + 1))
                .toList();

        assertThat(needed)
                .isNotEmpty()
                .allMatch(name -> name.matches("linux-vdso|libc|libm|libpthread|libdl|librt|ld-linux.*"));
    }

    /** That of RHEL 8 and its kin, whatever the library was linked with: {@code c_library.cpp}. */
    @ParameterizedTest
    @MethodSource("libraries")
    void glibc228IsEnough(Path library) throws Exception {
        String symbols = Programs.run("nm", "--dynamic", "--undefined-only", library.toString());

        assertThat(symbols.lines().filter(symbol -> C_LIBRARY_VERSION
                        .matcher(symbol)
                        .results()
                        .map(MatchResult::group)
                        .anyMatch(version -> minor(version) > 28)))
                .isEmpty();
        assertThat(symbols).contains("@GLIBC_");
    }

    private static int minor(String version) {
        return Integer.parseInt(version.substring(version.lastIndexOf('.') + 1));
    }
}
