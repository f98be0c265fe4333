package io.llamafu.llamacpp;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** The library runs on a machine that has nothing but the C library, and hides everything but its JNI functions. */
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
        List<String> symbols = run("nm", "--dynamic", "--defined-only", library.toString()).stream()
                .map(line -> line.substring(line.lastIndexOf(' ') + 1))
                .toList();

        assertThat(symbols)
                .contains("Java_io_llamafu_llamacpp_NativeLibrary_buildInfo")
                .allMatch(symbol -> symbol.startsWith("Java_io_llamafu_") || symbol.startsWith("JNI_On"));
    }

    @Test
    void onlyTheCLibraryIsNeeded() throws Exception {
        List<String> needed = run("ldd", library.toString()).stream()
                .map(line -> line.strip().split("[ .]", 2)[0])
                .map(name -> name.substring(name.lastIndexOf('/') + 1))
                .toList();

        assertThat(needed)
                .isNotEmpty()
                .allMatch(name -> name.matches("linux-vdso|libc|libm|libpthread|libdl|librt|ld-linux.*"));
    }

    private static List<String> run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output.lines().toList();
    }
}
