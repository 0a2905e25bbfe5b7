BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('6dcb3a50da19');
CREATE TABLE api_keys (
	deleted_at DATETIME, 
	name VARCHAR NOT NULL, 
	description VARCHAR, 
	id INTEGER NOT NULL, 
	access_key VARCHAR NOT NULL, 
	hashed_secret_key VARCHAR NOT NULL, 
	user_id INTEGER NOT NULL, 
	expires_at TIMESTAMP, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (hashed_secret_key), 
	CONSTRAINT uix_name_user_id UNIQUE (name, user_id)
);
INSERT INTO "api_keys" VALUES(NULL,'automation','d',1,'11d8388804b3c113','$argon2id$v=19$m=65536,t=3,p=4$Sazzc+ZPMu7xMBasy0U1Gg$fenx87lFzMprejV23t58llIwGI58QuLFIybaUACLUr0',1,NULL,'2026-11-30 15:29:17','2026-11-30 15:29:17');
INSERT INTO "api_keys" VALUES(NULL,'laptop','d',2,'c105e79d7e4e0263','$argon2id$v=19$m=65536,t=3,p=4$FTT/83Ff6GIJKf3ybdimzQ$dfcy157OIQuWQudRmIqMKcuYTil7fv/PagxsXEi6VU0',2,'2027-02-28 15:29:17.860606','2026-11-30 15:29:18','2026-11-30 15:29:18');
INSERT INTO "api_keys" VALUES(NULL,'lost','d',3,'638ffa3c30b98263','$argon2id$v=19$m=65536,t=3,p=4$7elodRyMRjV0al0HoT1Pfw$7NeuGxZYp1Sqstxw/zuTu4/+mOnKr81sfavdzrMSCUQ',3,NULL,'2026-11-30 15:29:20','2026-11-30 15:29:20');
CREATE TABLE model_instances (
	deleted_at DATETIME, 
	source VARCHAR(14) NOT NULL, 
	huggingface_repo_id VARCHAR, 
	huggingface_filename VARCHAR, 
	ollama_library_model_name VARCHAR, 
	name VARCHAR NOT NULL, 
	worker_id INTEGER, 
	worker_name VARCHAR, 
	worker_ip VARCHAR, 
	pid INTEGER, 
	port INTEGER, 
	download_progress FLOAT, 
	state VARCHAR(12) NOT NULL, 
	state_message VARCHAR, 
	computed_resource_claim JSON, 
	model_id INTEGER NOT NULL, 
	model_name VARCHAR NOT NULL, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, distributed_servers JSON, gpu_indexes JSON, 
	PRIMARY KEY (id), 
	FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "model_instances" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct-GGUF','qwen2.5-0.5b-instruct-q4_k_m.gguf',NULL,'qwen-half-ZiJYw',NULL,NULL,NULL,NULL,NULL,NULL,'ERROR',NULL,'null',1,'qwen-half',1,'2026-11-30 15:29:20','2026-11-30 15:29:20','null','[]');
CREATE TABLE model_usages (
	id INTEGER NOT NULL, 
	user_id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	date DATE NOT NULL, 
	prompt_token_count INTEGER NOT NULL, 
	completion_token_count INTEGER NOT NULL, 
	request_count INTEGER NOT NULL, 
	operation VARCHAR(15) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(model_id) REFERENCES models (id), 
	FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE "models" (
	deleted_at DATETIME, 
	source VARCHAR(14) NOT NULL, 
	huggingface_repo_id VARCHAR, 
	huggingface_filename VARCHAR, 
	ollama_library_model_name VARCHAR, 
	name VARCHAR NOT NULL, 
	description VARCHAR, 
	replicas INTEGER NOT NULL, 
	ready_replicas INTEGER NOT NULL, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	embedding_only BOOLEAN NOT NULL, 
	placement_strategy VARCHAR(7) NOT NULL, 
	cpu_offloading BOOLEAN NOT NULL, 
	distributed_inference_across_workers BOOLEAN NOT NULL, worker_selector JSON, gpu_selector JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct-GGUF','qwen2.5-0.5b-instruct-q4_k_m.gguf',NULL,'qwen-half',NULL,1,0,1,'2026-11-30 15:29:20','2026-11-30 15:29:20',0,'SPREAD',0,0,'{}','null');
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','gpustack/bge-m3-GGUF','bge-m3-Q4.gguf',NULL,'bge',NULL,0,0,2,'2026-11-30 15:29:20','2026-11-30 15:29:20',1,'SPREAD',0,0,'{}','null');
INSERT INTO "models" VALUES(NULL,'OLLAMA_LIBRARY',NULL,NULL,'llama3.1','llama',NULL,0,0,3,'2026-11-30 15:29:20','2026-11-30 15:29:20',0,'SPREAD',0,0,'{}','null');
CREATE TABLE system_loads (
	id INTEGER NOT NULL, 
	timestamp INTEGER NOT NULL, 
	cpu FLOAT, 
	ram FLOAT, 
	gpu FLOAT, 
	vram FLOAT, 
	PRIMARY KEY (id)
);
CREATE TABLE users (
	deleted_at DATETIME, 
	username VARCHAR NOT NULL, 
	is_admin BOOLEAN NOT NULL, 
	full_name VARCHAR, 
	require_password_change BOOLEAN NOT NULL, 
	id INTEGER NOT NULL, 
	hashed_password VARCHAR NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "users" VALUES(NULL,'admin',1,'Default System Admin',0,1,'$argon2id$v=19$m=65536,t=3,p=4$lTTYdu6UOyAZrdeInc2nSA$PBDsWZSEBCSDDYxyM45CYDv0SaDJIl2MWkTgqDtA4us','2026-11-30 15:29:15','2026-11-30 15:29:15');
INSERT INTO "users" VALUES(NULL,'tanaka',0,'田中',0,2,'$argon2id$v=19$m=65536,t=3,p=4$4XtogSZCfRfFd4aiApEnoQ$J+n4WbZimLbJePC86ho8DGFYTzJhU0tg0LYLmuGJlrg','2026-11-30 15:29:16','2026-11-30 15:29:16');
CREATE TABLE workers (
	deleted_at DATETIME, 
	name VARCHAR NOT NULL, 
	hostname VARCHAR NOT NULL, 
	ip VARCHAR NOT NULL, 
	labels JSON, 
	system_reserved JSON, 
	state VARCHAR(9) NOT NULL, 
	state_message VARCHAR, 
	status JSON, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "workers" VALUES(NULL,'gpu-one','gpu-one','10.9.8.1','{"os": "linux", "worker-name": "gpu-one"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}, {"name": "Tesla T4", "uuid": "GPU-1", "vendor": "NVIDIA", "index": 1, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}], "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "rpc_servers": null}',1,'2026-11-30 15:29:18','2026-11-30 15:29:18');
INSERT INTO "workers" VALUES(NULL,'gpu-two','gpu-two','10.9.8.2','{"os": "linux", "worker-name": "gpu-two"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}], "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "rpc_servers": null}',2,'2026-11-30 15:29:18','2026-11-30 15:29:18');
INSERT INTO "workers" VALUES(NULL,'cpu-three','cpu-three','10.9.8.3','{"os": "linux", "worker-name": "cpu-three"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "gpu_devices": [], "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "rpc_servers": null}',3,'2026-11-30 15:29:18','2026-11-30 15:29:18');
CREATE UNIQUE INDEX ix_api_keys_access_key ON api_keys (access_key);
CREATE UNIQUE INDEX ix_workers_name ON workers (name);
CREATE UNIQUE INDEX ix_model_instances_name ON model_instances (name);
CREATE UNIQUE INDEX ix_models_name ON models (name);
CREATE VIEW gpu_devices_view AS
SELECT
    w.name || '-' || json_extract(value, '$.name') || '-' || json_extract(value, '$.index') AS id,
    w.id as worker_id,
    w.name as worker_name,
    w.ip as worker_ip,
    w.created_at,
    w.updated_at,
    w.deleted_at,
    json_extract(value, '$.uuid') AS uuid,
    json_extract(value, '$.name') AS name,
    json_extract(value, '$.vendor') AS vendor,
    json_extract(value, '$.index') AS 'index',
    json_extract(value, '$.core') AS core,
    json_extract(value, '$.memory') AS memory,
    json_extract(value, '$.temperature') AS temperature
FROM
    workers w,
    json_each(w.status, '$.gpu_devices')
WHERE
    json_array_length(w.status, '$.gpu_devices') > 0;
COMMIT;
