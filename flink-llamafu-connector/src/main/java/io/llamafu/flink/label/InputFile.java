package io.llamafu.flink.label;

import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.Path;

import java.io.IOException;
import java.io.Serializable;

/**
 * A file to label.
 *
 * @param uri of any file system of Flink
 * @param name of its output, without number and suffix: a relative path
 */
record InputFile(String uri, String name) implements Serializable {
    FSDataInputStream open() throws IOException {
        return path().getFileSystem().open(path());
    }

    long length() throws IOException {
        return path().getFileSystem().getFileStatus(path()).getLen();
    }

    Path path() {
        return new Path(uri);
    }

    /** For messages. */
    String place(long line) {
        return "%s, line %d".formatted(path().getPath(), line);
    }
}
