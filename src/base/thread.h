/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the process's threads go first when the processor is short. Answers from memory never wait for the disk; they are not to wait for what does,
 * either.
 */
#ifndef SERIN_BASE_THREAD_H
#define SERIN_BASE_THREAD_H

/* The calling thread gives way from now on to threads that have not said so. Where the system does not allow it, nothing changes. */
void thread_give_way(void);

#endif
