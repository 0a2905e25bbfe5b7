BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('e6bf9e067296');
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
INSERT INTO "api_keys" VALUES(NULL,'automation','d',1,'d1fda78588b8384b','$argon2id$v=19$m=65536,t=3,p=4$iUOKnrHvnvkYsM5xfFosRA$enrl6yZyDCCuwkvtP3I/vKBEBw6n3py5mED/hCerLKg',1,NULL,'2026-11-30 15:30:44','2026-11-30 15:30:44');
INSERT INTO "api_keys" VALUES(NULL,'laptop','d',2,'de9a393896e32ec7','$argon2id$v=19$m=65536,t=3,p=4$TEy/l71kQJ+VzmMQB6QU/Q$Ns7n/nrd3N/ZqVVA1okeWcpCWarxACb4Cv/sdAfZtiI',2,'2027-02-28 15:30:44.711576','2026-11-30 15:30:45','2026-11-30 15:30:45');
INSERT INTO "api_keys" VALUES(NULL,'lost','d',3,'ca31083afc17b984','$argon2id$v=19$m=65536,t=3,p=4$IiqImAFaNBrDJC9PrnZbWQ$CS2R1Rog8BD2x93GttN78BUJAGPX2m3g+o3VWT1WXH8',3,NULL,'2026-11-30 15:30:46','2026-11-30 15:30:46');
CREATE TABLE "model_instances" (
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
	updated_at TIMESTAMP NOT NULL, 
	distributed_servers JSON, 
	gpu_indexes JSON, model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, local_path VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "model_instances" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct',NULL,NULL,'qwen-vllm-f1s5X',NULL,NULL,NULL,NULL,NULL,NULL,'PENDING',NULL,'null',3,'qwen-vllm',1,'2026-11-30 15:30:46','2026-11-30 15:30:53','null','[]',NULL,NULL,NULL);
CREATE TABLE "model_usages" (
	id INTEGER NOT NULL, 
	user_id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	date DATE NOT NULL, 
	prompt_token_count INTEGER NOT NULL, 
	completion_token_count INTEGER NOT NULL, 
	request_count INTEGER NOT NULL, 
	operation VARCHAR(19) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_model_usages_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_model_usages_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE
);
CREATE TABLE models (
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
	updated_at TIMESTAMP NOT NULL, embedding_only BOOLEAN DEFAULT '0' NOT NULL, placement_strategy VARCHAR(7) DEFAULT 'SPREAD' NOT NULL, cpu_offloading BOOLEAN DEFAULT '1' NOT NULL, distributed_inference_across_workers BOOLEAN DEFAULT '1' NOT NULL, worker_selector JSON, gpu_selector JSON, distributable BOOLEAN, model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, backend VARCHAR, backend_parameters JSON, reranker BOOLEAN DEFAULT '0' NOT NULL, backend_version VARCHAR, local_path VARCHAR, image_only BOOLEAN DEFAULT '0' NOT NULL, speech_to_text BOOLEAN DEFAULT '0' NOT NULL, text_to_speech BOOLEAN DEFAULT '0' NOT NULL, categories JSON, meta JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct-GGUF','qwen2.5-0.5b-instruct-q4_k_m.gguf',NULL,'qwen-half',NULL,0,0,1,'2026-11-30 15:30:46','2026-11-30 15:30:46',0,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0,NULL,NULL,0,0,0,'[]','{}');
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','gpustack/bge-m3-GGUF','bge-m3-Q4.gguf',NULL,'bge',NULL,0,0,2,'2026-11-30 15:30:46','2026-11-30 15:30:46',1,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0,NULL,NULL,0,0,0,'[]','{}');
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct',NULL,NULL,'qwen-vllm',NULL,1,0,3,'2026-11-30 15:30:46','2026-11-30 15:30:46',0,'SPREAD',0,0,'{"os": "linux", "arch": "amd64"}','null',0,NULL,NULL,'vllm','[]',0,NULL,NULL,0,0,0,'[]','{}');
INSERT INTO "models" VALUES(NULL,'OLLAMA_LIBRARY',NULL,NULL,'llama3.1','llama',NULL,0,0,4,'2026-11-30 15:30:46','2026-11-30 15:30:46',0,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0,NULL,NULL,0,0,0,'[]','{}');
CREATE TABLE "system_loads" (
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
INSERT INTO "users" VALUES(NULL,'admin',1,'Default System Admin',0,1,'$argon2id$v=19$m=65536,t=3,p=4$1VtMmbxxC7XsufMNkSErpA$vYt8SDkdWXkSbYJoacSuYksyWHBKMennCl7dDb6sAX8','2026-11-30 15:30:40','2026-11-30 15:30:40');
INSERT INTO "users" VALUES(NULL,'tanaka',0,'田中',0,2,'$argon2id$v=19$m=65536,t=3,p=4$f8DLWhwxc6XF/EI2lFyPyQ$2glUU0r8sO5u7z6TSv44QqSO2DBUWR5ViB0lVAYenPw','2026-11-30 15:30:42','2026-11-30 15:30:42');
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
	updated_at TIMESTAMP NOT NULL, port INTEGER DEFAULT '10150' NOT NULL, unreachable BOOLEAN DEFAULT '0' NOT NULL, heartbeat_time TIMESTAMP, 
	PRIMARY KEY (id)
);
INSERT INTO "workers" VALUES(NULL,'gpu-one','gpu-one','10.9.8.1','{"os": "linux", "worker-name": "gpu-one"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0, "labels": {}, "type": "cuda"}, {"name": "Tesla T4", "uuid": "GPU-1", "vendor": "NVIDIA", "index": 1, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0, "labels": {}, "type": "cuda"}], "rpc_servers": null}',1,'2026-11-30 15:30:45','2026-11-30 15:30:45',10150,0,'2026-11-30 15:30:45.000000');
INSERT INTO "workers" VALUES(NULL,'gpu-two','gpu-two','10.9.8.2','{"os": "linux", "worker-name": "gpu-two"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0, "labels": {}, "type": "cuda"}], "rpc_servers": null}',2,'2026-11-30 15:30:45','2026-11-30 15:30:45',10150,0,'2026-11-30 15:30:45.000000');
INSERT INTO "workers" VALUES(NULL,'cpu-three','cpu-three','10.9.8.3','{"os": "linux", "worker-name": "cpu-three"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [], "rpc_servers": null}',3,'2026-11-30 15:30:45','2026-11-30 15:30:45',10150,0,'2026-11-30 15:30:45.000000');
CREATE UNIQUE INDEX ix_api_keys_access_key ON api_keys (access_key);
CREATE UNIQUE INDEX ix_models_name ON models (name);
CREATE UNIQUE INDEX ix_workers_name ON workers (name);
CREATE UNIQUE INDEX ix_model_instances_name ON model_instances (name);
CREATE VIEW gpu_devices_view AS
SELECT
    w.name || ':' || json_extract(value, '$.type') || ':' || json_extract(value, '$.index') AS id,
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
    json_extract(value, '$.temperature') AS temperature,
    json_extract(value, '$.labels') AS labels,
    json_extract(value, '$.type') AS type
FROM
    workers w,
    json_each(w.status, '$.gpu_devices')
WHERE
    json_array_length(w.status, '$.gpu_devices') > 0;
COMMIT;
