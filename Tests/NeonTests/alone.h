/* Threads of every call of the tables under test; the scalar calls they are compared with have one. */
#ifndef THREADS
#define THREADS 1
#endif
