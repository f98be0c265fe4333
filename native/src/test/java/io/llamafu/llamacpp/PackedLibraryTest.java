package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** The library runs on a machine with only the C library, and exports only its JNI functions. */
class PackedLibraryTest {
    private static Path library;

    @BeforeAll
    static void findLibrary() throws Exception {
        NativePlatform platform = NativePlatform.current();
        library = Path.of(NativeLibrary.class
                .getClassLoader()
                .getResource(platform.resourceFolder() + "/" + platform.libraryFileName())
                .toURI());
    }

    @Test
    void onlyJniFunctionsAreVisible() throws Exception {
        List<String> symbols = Programs.run("nm", "--dynamic", "--defined-only", library.toString())
                .lines()
                .map(line -> line.substring(line.lastIndexOf(' ') + 1))
                .toList();

        assertThat(symbols)
                .contains("Java_io_llamafu_llamacpp_NativeLibrary_buildInfo")
                .allMatch(symbol -> symbol.startsWith("Java_io_llamafu_") || symbol.startsWith("JNI_On"));
    }

    @Test
    void onlyTheCLibraryIsNeeded() throws Exception {
        List<String> needed = Programs.run("ldd", library.toString())
                .lines()
                .map(line -> line.strip().split("[ .]", 2)[0])
                .map(name -> name.substring(name.lastIndexOf('/') + 1))
                .toList();

        assertThat(needed)
                .isNotEmpty()
                .allMatch(name -> name.matches("linux-vdso|libc|libm|libpthread|libdl|librt|ld-linux.*"));
    }
}
