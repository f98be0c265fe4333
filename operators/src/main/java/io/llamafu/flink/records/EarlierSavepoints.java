package io.llamafu.flink.records;

import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.util.MutableURLClassLoader;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;

/**
 * Savepoints of earlier versions name a class of Flink's Avro format, which the installed jar contained at that time.
 * It no longer does, because the cluster or another job may have its own copy. If there is none, the class loader of
 * the job gets a class of that name that reads what the original wrote; other jobs do not see it.
 */
final class EarlierSavepoints {
    private static final String NAME = earlierName();
    private static final String FILE = NAME.replace('.', '/') + ".class";

    private static final int CLASS_FILE_MAGIC = 0xCAFEBABE;
    private static final int JAVA_17 = 61;
    private static final int PUBLIC = 0x0001;
    private static final int PUBLIC_SUPER = 0x0021;

    private EarlierSavepoints() {}

    /** In pieces, so that relocation in the jar does not rename it. */
    private static String earlierName() {
        return String.join(".", "org", "apache", "flink", "formats", "avro", "typeutils", "AvroSerializerSnapshot");
    }

    static synchronized void makeReadable(ClassLoader loader) {
        if (loader instanceof MutableURLClassLoader ofJob && !has(loader)) {
            ofJob.addURL(url());
        }
    }

    /** Whether the snapshot is of the named class, whichever class loader it comes from. */
    static boolean wrote(TypeSerializerSnapshot<?> snapshot) {
        return snapshot.getClass().getName().equals(NAME);
    }

    private static boolean has(ClassLoader loader) {
        try {
            Class<?> unused = Class.forName(NAME, false, loader);
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    private static URL url() {
        try {
            return new URL("llamafu", "", -1, "/", new Handler());
        } catch (IOException e) {
            throw new UncheckedIOException("A URL with a handler of its own is not well-formed.", e);
        }
    }

    /** Serves a folder with that one file. */
    private static final class Handler extends URLStreamHandler {
        @Override
        protected URLConnection openConnection(URL url) throws IOException {
            if (!url.getPath().endsWith(FILE)) {
                throw new IOException(url + " does not exist.");
            }
            return new URLConnection(url) {
                @Override
                public void connect() {
                    connected = true;
                }

                @Override
                public InputStream getInputStream() throws IOException {
                    return new ByteArrayInputStream(emptySubclass(NAME, RecordSerializerSnapshot.class.getName()));
                }
            };
        }
    }

    /** The class file of a public class with only a constructor without parameters. */
    private static byte[] emptySubclass(String name, String superclass) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(CLASS_FILE_MAGIC);
        out.writeShort(0);
        out.writeShort(JAVA_17);
        out.writeShort(10); // constants, and one
        text(out, name.replace('.', '/')); // 1
        reference(out, 7, 1); // 2: this class
        text(out, superclass.replace('.', '/')); // 3
        reference(out, 7, 3); // 4: its superclass
        text(out, "<init>"); // 5
        text(out, "()V"); // 6
        text(out, "Code"); // 7
        reference(out, 12, 5, 6); // 8: name and type of the constructor
        reference(out, 10, 4, 8); // 9: the constructor of the superclass
        out.writeShort(PUBLIC_SUPER);
        out.writeShort(2);
        out.writeShort(4);
        out.writeShort(0); // interfaces
        out.writeShort(0); // fields
        out.writeShort(1); // methods
        out.writeShort(PUBLIC);
        out.writeShort(5);
        out.writeShort(6);
        out.writeShort(1); // attributes
        out.writeShort(7);
        out.writeInt(17);
        out.writeShort(1); // stack
        out.writeShort(1); // locals
        out.writeInt(5);
        out.writeByte(0x2A); // aload_0
        out.writeByte(0xB7); // invokespecial
        out.writeShort(9);
        out.writeByte(0xB1); // return
        out.writeShort(0); // exceptions
        out.writeShort(0); // attributes of the code
        out.writeShort(0); // attributes of the class
        return bytes.toByteArray();
    }

    private static void text(DataOutputStream out, String text) throws IOException {
        out.writeByte(1);
        out.writeUTF(text);
    }

    private static void reference(DataOutputStream out, int kind, int... constants) throws IOException {
        out.writeByte(kind);
        for (int constant : constants) {
            out.writeShort(constant);
        }
    }
}
